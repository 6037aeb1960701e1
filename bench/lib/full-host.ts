import { openSync } from "node:fs";
import { http } from "flotilla/http";
import { host, implement } from "flotilla/service";
import { telemetry } from "flotilla/telemetry";
import { Calculator } from "./calculator.ts";
import { ready } from "./ready.ts";

/**
 * Serves the sum with what a service in production has switched on, as far as there is such a thing: validation, deadline, every request traced,
 * metrics, one log line a request through a real descriptor to /dev/null. The collector's origin is the first argument of the process.
 *
 * @param exportedShare - of the traces, 0 to 1; errors are exported all.
 */
export async function serveFull(exportedShare: number): Promise<void> {
  const observed = telemetry({
    service: "calculator",
    traces: { keep: { ratio: exportedShare } },
    logs: { fd: openSync("/dev/null", "w") },
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: process.argv[2], OTEL_BSP_MAX_QUEUE_SIZE: "16384" },
  });
  const calculator = host({
    name: "calculator",
    serve: [implement(Calculator, { sum: async (_ctx, { a, b }) => ({ v: a + b }) })],
    listen: [http({ port: 0 })],
    telemetry: observed,
  });
  const { addresses } = await calculator.start();
  ready(Number(new URL(addresses[0] ?? "").port));
}
