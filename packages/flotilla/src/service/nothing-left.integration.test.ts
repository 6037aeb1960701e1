import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import type { Asked, Left } from "./test-fixtures/many-calls.ts";

const asked: Asked = { warmUp: 50_000, calls: 50_000, rounds: 4 };

test("nothing is left of 200,000 calls of every fate: no heap, timer, listener or handle", async (t) => {
  const file = join(import.meta.dirname, "test-fixtures/many-calls.ts");
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      "--conditions=@flotilla/source",
      "--disable-warning=ExperimentalWarning",
      "--expose-gc",
      file,
      JSON.stringify(asked),
    ],
    { timeout: 110_000 },
  );
  const { heaps, timers, listeners, children, inFlight, resources, outcomes, counters } = JSON.parse(stdout) as Left;

  // What Node itself gives back in one round must not hide what another loses: that round is left out.
  const growth = heaps.slice(1).map((bytes, i) => bytes - heaps[i]!);
  const grown = growth
    .toSorted((a, b) => a - b)
    .slice(1)
    .reduce((sum, bytes) => sum + bytes, 0);
  t.diagnostic(`the heap grew by ${growth.join(", ")} bytes; ${JSON.stringify(outcomes)}`);
  assert.ok(grown < 1_000_000, `the heap grew by ${growth.join(", ")} bytes`);
  assert.deepEqual(
    { timers, listeners, children, inFlight, resources },
    { timers: 0, listeners: 0, children: 0, inFlight: 0, resources: [] },
  );

  // It was not for want of trouble.
  const made = asked.warmUp + asked.calls * asked.rounds;
  assert.ok(Object.values(outcomes).reduce((sum, count) => sum + count, 0) >= made);
  assert.ok(outcomes["ok"]! > made / 2);
  for (const [code, least] of [
    ["unavailable", 200],
    ["not_found", 1000],
    ["canceled", 1000],
    ["deadline_exceeded", 1000],
  ] as const) {
    assert.ok((outcomes[code] ?? 0) > least, `${code}: ${outcomes[code]}`);
  }
  for (const [name, least] of [
    ["retry.attempts", 500],
    ["retry.given_up", 200],
    ["hedge.sent", 1000],
    ["hedge.won", 1000],
    ["hedge.given_up", 100],
    ["circuit_breaker.openings", 10],
    ["circuit_breaker.refused", 1000],
    ["concurrency_limit.refused", 100],
    ["deadline_check.refused", 1000],
    ["cache.calls", 1000],
    ["single_flight.calls", 1000],
    ["ejection.ejections", 1],
  ] as const) {
    const count = counters[`flotilla.${name}`] ?? 0;
    assert.ok(count >= least, `${name}: ${count}`);
  }
});
