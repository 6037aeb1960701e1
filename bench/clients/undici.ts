import { Pool } from "undici";
import { sumAnswer, sumPath, sumRequest } from "../lib/sum.ts";
import { inFlight, serveCalls } from "../lib/worker.ts";

const origin = process.argv[2] ?? "";
const pool = new Pool(origin, { connections: inFlight });
const headers = { "content-type": "application/json" };

serveCalls(async () => {
  const { statusCode, body } = await pool.request({
    method: "POST",
    path: sumPath,
    headers,
    body: JSON.stringify(sumRequest),
  });
  const answer = (await body.json()) as typeof sumAnswer;
  if (statusCode !== 200 || answer.v !== sumAnswer.v)
    throw new Error(`answered ${statusCode} ${JSON.stringify(answer)}`);
});
