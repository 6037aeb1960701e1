import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { skipWithout } from "../../../scripts/servers.ts";
import type { Asked, Left } from "./test-fixtures/many-calls.ts";
import { TestNats } from "./test-fixtures/nats-server.ts";

const skip = await skipWithout("nats-server");

test("nothing is left of 30,000 calls of every fate, 60 cuts and 60 connections: no heap, timer or handle", {
  skip,
}, async (t) => {
  const broker = await TestNats.start();
  t.after(() => broker.stop());
  const asked: Asked = { port: broker.port, rounds: 6, calls: 5000, cuts: 10, connections: 10 };
  const file = join(import.meta.dirname, "test-fixtures/many-calls.ts");
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--conditions=@flotilla/source", "--expose-gc", file, JSON.stringify(asked)],
    { timeout: 110_000 },
  );
  const { heaps, outcomes, inFlight, listeners, resources } = JSON.parse(stdout) as Left;
  // The first rounds make what the later ones use again.
  const growth = heaps.slice(1).map((bytes, i) => bytes - heaps[i]!);
  const grown = growth.slice(2).reduce((sum, bytes) => sum + bytes, 0);
  t.diagnostic(`the heap grew by ${growth.join(", ")} bytes; ${JSON.stringify(outcomes)}`);
  assert.ok(grown < 1_000_000, `the heap grew by ${growth.join(", ")} bytes`);
  assert.deepEqual({ inFlight, listeners, resources }, { inFlight: 0, listeners: 0, resources: [] });
  assert.ok(outcomes["ok"]! > 25_000);
  for (const code of ["not_found", "canceled", "deadline_exceeded"])
    assert.ok(outcomes[code]! >= 100, `${code}: ${outcomes[code]}`);
  assert.equal(outcomes["unavailable"], asked.rounds * asked.cuts);
});
