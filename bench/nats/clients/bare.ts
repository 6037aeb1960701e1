import { connect } from "@nats-io/transport-node";
import { serveRateOrLatency } from "../../lib/worker.ts";

// Without the stack trace that it takes of each request by default, which is a quarter of its calls.
const connection = await connect({ servers: `127.0.0.1:${process.argv[2]}`, noAsyncTraces: true });

serveRateOrLatency(async () => {
  const answer = await connection.request("calc.sum", JSON.stringify({ a: 1, b: 2 }), { timeout: 10_000 });
  if (answer.json<{ v: number }>().v !== 3) throw new Error("a wrong answer");
});
