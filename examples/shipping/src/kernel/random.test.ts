import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { integer, pick, seededRandom } from "./random.ts";

test("the same seed gives the same numbers, all in [0, 1)", () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const a = seededRandom(seed);
      const b = seededRandom(seed);
      for (let i = 0; i < 50; i++) {
        const n = a();
        assert.equal(n, b());
        assert.ok(n >= 0 && n < 1);
      }
    }),
  );
});

test("the numbers are spread evenly", () => {
  const random = seededRandom(1);
  const counts = Array.from({ length: 10 }, () => 0);
  for (let i = 0; i < 100_000; i++) {
    const n = integer(random, 0, 9);
    counts[n] = (counts[n] ?? 0) + 1;
  }
  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 500, `${count} of 10000`);
});

test("pick refuses an empty list", () => {
  assert.throws(() => pick(seededRandom(1), []), RangeError);
});
