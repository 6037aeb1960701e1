import { http } from "flotilla/http";
import { host, implement } from "flotilla/service";
import { Calculator } from "../lib/calculator.ts";
import { ready } from "../lib/ready.ts";

const calculator = host({
  name: "calculator",
  serve: [implement(Calculator, { sum: async (_ctx, { a, b }) => ({ v: a + b }) })],
  listen: [http({ port: 0 })],
});
const { addresses } = await calculator.start();
ready(Number(new URL(addresses[0] ?? "").port));
