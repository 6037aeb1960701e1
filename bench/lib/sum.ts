/** The call that every network row answers. */
export const sumPath = "/calc.v1.Calculator/sum";
export const sumRequest = { a: 1, b: 2 };
export const sumAnswer = { v: 3 };

/** Makes the call once, compares the answer, and resolves to the URL that was called. */
export async function checkSum(origin: string): Promise<string> {
  const url = `${origin}${sumPath}`;
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify(sumRequest),
    signal: AbortSignal.timeout(5_000),
  });
  const text = await response.text();
  if (response.status !== 200)
    throw new Error(`POST ${sumPath} was answered ${response.status}: ${text.slice(0, 200)}`);
  if (text !== JSON.stringify(sumAnswer)) throw new Error(`POST ${sumPath} was answered ${text.slice(0, 200)}`);
  return url;
}
