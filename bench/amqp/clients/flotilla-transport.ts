import { amqpClient } from "@flotilla/amqp";
import { background, withTimeout } from "flotilla/context";
import { Calculator } from "../../lib/calculator.ts";
import { serveRateOrLatency } from "../../lib/worker.ts";

// The transport alone, with a deadline.
const connection = amqpClient().connect(`amqp://127.0.0.1:${process.argv[2]}`);
const sum = connection.endpoint(Calculator.methods[0]!);
const root = background();

serveRateOrLatency(async () => {
  const ctx = withTimeout(root, 10_000);
  const { v } = (await sum(ctx, { a: 1, b: 2 })) as { v: number };
  ctx.cancel();
  if (v !== 3) throw new Error("a wrong answer");
});
