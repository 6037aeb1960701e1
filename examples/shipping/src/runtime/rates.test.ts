import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceState } from "./fleet.ts";
import { createHistogram, record } from "./histogram.ts";
import { createRates } from "./rates.ts";

function state(durations: readonly number[]): ServiceState {
  const latency = createHistogram();
  for (const duration of durations) record(latency, duration);
  const served = { calls: durations.length, refused: 2, errors: 1, latency };
  return { name: "booking", wanted: 1, instances: 1, pids: [7], restarts: 0, served };
}

test("rates and latencies are those of the window, refusals and errors those since the start", () => {
  const rates = createRates(5000);
  assert.deepEqual(rates.row(state([]), 0), {
    name: "booking",
    wanted: 1,
    instances: 1,
    pids: [7],
    perSecond: 0,
    p50Ms: undefined,
    p99Ms: undefined,
    refused: 2,
    errors: 1,
  });
  assert.equal(rates.row(state([1, 1, 1, 1]), 2000).perSecond, 2);
  // The first four calls have left the window; of the six since then the median is about 100 ms.
  const row = rates.row(state([1, 1, 1, 1, 100, 100, 100, 100, 100, 100]), 6000);
  assert.equal(row.perSecond, 6 / 4);
  assert.ok(row.p50Ms !== undefined && row.p50Ms > 90 && row.p50Ms < 110);
});
