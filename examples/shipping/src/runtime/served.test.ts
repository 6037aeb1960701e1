import assert from "node:assert/strict";
import { test } from "node:test";
import { createMeterProvider } from "flotilla/telemetry";
import { countOf, quantile } from "./histogram.ts";
import { servedOf } from "./served.ts";

test("what the caller got wrong is refused, what the service got wrong is an error", async () => {
  const provider = createMeterProvider({ histograms: "exponential" });
  const duration = provider.getMeter("test").createHistogram("rpc.server.call.duration", { unit: "s" });
  for (const code of ["ok", "not_found", "invalid_argument", "internal", "unavailable", "canceled", "unimplemented"]) {
    duration.record(0.002, { "rpc.method": "m", "rpc.response.status_code": code });
  }
  duration.record(30, { "rpc.method": "m", "rpc.response.status_code": "ok" });
  const { calls, refused, errors, latency } = servedOf(await provider.collect());
  assert.deepEqual({ calls, refused, errors }, { calls: 8, refused: 4, errors: 2 });
  assert.equal(countOf(latency), 8);
  const [p50 = 0, p99 = 0] = [quantile(latency, 0.5), quantile(latency, 0.99)];
  assert.ok(Math.abs(p50 - 2) < 0.2 && Math.abs(p99 - 30_000) < 3000, `${p50} ${p99}`);
});
