import { http } from "flotilla/http";
import { host, implement } from "flotilla/service";
import { Calculator } from "./calculator.ts";
import { ready } from "./ready.ts";

/**
 * Serves the sum with everything that a service in production has switched on.
 *
 * @param _exportedShare - of the traces, 0 to 1.
 */
export async function serveFull(_exportedShare: number): Promise<void> {
  const calculator = host({
    name: "calculator",
    serve: [implement(Calculator, { sum: async (_ctx, { a, b }) => ({ v: a + b }) })],
    listen: [http({ port: 0 })],
  });
  const { addresses } = await calculator.start();
  ready(Number(new URL(addresses[0] ?? "").port));
}
