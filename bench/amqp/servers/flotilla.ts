import { amqp } from "@flotilla/amqp";
import { host, implement } from "flotilla/service";
import { Calculator } from "../../lib/calculator.ts";
import { ready } from "../../lib/ready.ts";

const port = Number(process.argv[2]);
const calculator = host({
  name: "calculator",
  serve: [implement(Calculator, { sum: async (_ctx, { a, b }) => ({ v: a + b }) })],
  // What sheds load takes a disturbed machine for an overload; the other row has no such thing.
  use: [],
  listen: [amqp({ url: `amqp://127.0.0.1:${port}` })],
});
await calculator.start();
ready(port);
