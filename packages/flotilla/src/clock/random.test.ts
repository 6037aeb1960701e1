import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Random, randomInt, seededRandom, systemRandom } from "./random.ts";

/** Pearson's statistic of the counts of `draws` values over `buckets` equal buckets. */
function chiSquare(draws: number, buckets: number, next: () => number): number {
  const counts = Array.from({ length: buckets }, () => 0);
  for (let i = 0; i < draws; i++) {
    const bucket = next();
    counts[bucket] = counts[bucket]! + 1;
  }
  const expected = draws / buckets;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

/** Upper bound that an even source exceeds about once in 10^6 (normal approximation of chi-square). */
function bound(buckets: number): number {
  const freedom = buckets - 1;
  return freedom + 4.75 * Math.sqrt(2 * freedom) + 12;
}

describe("seededRandom", () => {
  test("repeats: these numbers hold on every machine and in every version", () => {
    const random = seededRandom(42);
    assert.deepEqual(
      Array.from({ length: 4 }, () => random.next() * 2 ** 32),
      [182880509, 3008686201, 3775342264, 1518397874],
    );
  });

  test("is the same for the same seed and another for another", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (a, b) => {
        const take = (seed: number): number[] => {
          const random = seededRandom(seed);
          return Array.from({ length: 8 }, () => random.next());
        };
        assert.deepEqual(take(a), take(a));
        if ((a | 0) !== (b | 0)) assert.notDeepEqual(take(a), take(b));
      }),
    );
  });

  test("stays within [0, 1)", () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = seededRandom(seed);
        for (let i = 0; i < 500; i++) {
          const value = random.next();
          assert.ok(value >= 0 && value < 1);
        }
      }),
    );
  });

  for (const seed of [0, 1, 2, -1, 0x7fffffff, 123_456_789]) {
    test(`is even over 256 buckets, and so are pairs in a row (seed ${seed})`, () => {
      const random = seededRandom(seed);
      assert.ok(chiSquare(200_000, 256, () => Math.floor(random.next() * 256)) < bound(256));
      const pairs = chiSquare(200_000, 256, () => Math.floor(random.next() * 16) * 16 + Math.floor(random.next() * 16));
      assert.ok(pairs < bound(256));
    });
  }

  test("the first numbers of neighbouring seeds are even too", () => {
    let seed = 0;
    assert.ok(chiSquare(100_000, 100, () => Math.floor(seededRandom(seed++).next() * 100)) < bound(100));
  });
});

describe("randomInt", () => {
  test("is even over bounds that are no power of two", () => {
    for (const n of [1, 3, 7, 10, 1_000]) {
      const random = seededRandom(n);
      assert.ok(chiSquare(100_000, n, () => randomInt(random, n)) < bound(n));
    }
  });

  test("never reaches the bound, even from the largest number below 1", () => {
    const almostOne: Random = { next: () => 1 - Number.EPSILON / 2 };
    for (const n of [1, 2, 3, 10, 2 ** 31, 2 ** 40]) assert.equal(randomInt(almostOne, n), n - 1);
    assert.equal(randomInt({ next: () => 0 }, 5), 0);
  });

  test("works on the system's source", () => {
    for (let i = 0; i < 1_000; i++) assert.ok([0, 1, 2].includes(randomInt(systemRandom, 3)));
  });
});
