import { http } from "flotilla/http";
import { host, implement } from "flotilla/service";
import { worker } from "../lib/busy.ts";
import { Calculator } from "../lib/calculator.ts";
import { ready } from "../lib/ready.ts";

/** The port of a store, or 0; then `naive`: without what refuses. */
const [, , storePort, naive] = process.argv;
const work = worker(Number(storePort) || undefined);

const calculator = host({
  name: "calculator",
  serve: [
    implement(Calculator, {
      sum: async (_ctx, { a, b }) => {
        await work(a);
        return { v: a + b };
      },
    }),
  ],
  listen: [http({ port: 0 })],
  ...(naive === "naive" ? { use: [] } : {}),
});
const { addresses } = await calculator.start();
ready(Number(new URL(addresses[0] ?? "").port));
