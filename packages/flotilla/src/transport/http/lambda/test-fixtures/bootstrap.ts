// What the platform runs functions of Node with, in small: asks the runtime API for events, has the handler answer them, and posts what
// it says. Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
import { pathToFileURL } from "node:url";
import { systemClock } from "../../../../clock/system-clock.ts";

const api = `http://${process.env["AWS_LAMBDA_RUNTIME_API"]}/2018-06-01/runtime`;

interface Context {
  readonly awsRequestId: string;
  getRemainingTimeInMillis(): number;
}

const [file, name] = process.env["_HANDLER"]!.split("#") as [string, string];
const module = (await import(pathToFileURL(file).href)) as Record<
  string,
  (event: unknown, context: Context) => Promise<unknown>
>;

for (;;) {
  const next = await fetch(`${api}/invocation/next`);
  const awsRequestId = next.headers.get("lambda-runtime-aws-request-id")!;
  const deadlineMs = Number(next.headers.get("lambda-runtime-deadline-ms"));
  const context = { awsRequestId, getRemainingTimeInMillis: () => deadlineMs - systemClock.epoch() };
  const post = (what: "response" | "error", body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${api}/invocation/${awsRequestId}/${what}`, { method: "POST", headers, body: JSON.stringify(body) });
  try {
    await post("response", await module[name]!(await next.json(), context));
  } catch (thrown) {
    const { name: errorType, message: errorMessage, stack = "" } = thrown as Error;
    const error = { errorType, errorMessage, trace: stack.split("\n") };
    await post("error", error, { "lambda-runtime-function-error-type": errorType });
  }
}
