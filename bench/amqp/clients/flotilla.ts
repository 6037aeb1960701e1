import { amqpClient } from "@flotilla/amqp";
import { background } from "flotilla/context";
import { client } from "flotilla/service";
import { Calculator } from "../../lib/calculator.ts";
import { serveRateOrLatency } from "../../lib/worker.ts";

// The whole client: balancing and the default stack, a deadline of 10 s among it.
const calculator = client(Calculator, {
  discover: [`amqp://127.0.0.1:${process.argv[2]}`],
  transport: amqpClient(),
});
const root = background();

serveRateOrLatency(async () => {
  const { v } = await calculator.sum(root, { a: 1, b: 2 });
  if (v !== 3) throw new Error("a wrong answer");
});
