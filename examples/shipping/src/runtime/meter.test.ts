import assert from "node:assert/strict";
import { test } from "node:test";
import type { FinishedCall } from "flotilla/endpoint";
import { countOf } from "./histogram.ts";
import { createMeter } from "./meter.ts";

const method = {} as NonNullable<FinishedCall["method"]>;

test("what the caller got wrong is refused, what the service got wrong is an error", () => {
  const meter = createMeter();
  for (const code of ["ok", "not_found", "invalid_argument", "internal", "unavailable", "canceled"] as const) {
    meter.finalize(undefined, { code, durationMs: 2, method });
  }
  meter.finalize(undefined, { code: "unimplemented", durationMs: 2, method: undefined });
  const { calls, refused, errors, latency } = meter.read();
  assert.deepEqual({ calls, refused, errors }, { calls: 7, refused: 4, errors: 2 });
  assert.equal(countOf(latency), 7);
});
