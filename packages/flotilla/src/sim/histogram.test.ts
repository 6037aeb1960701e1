import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Histogram } from "./histogram.ts";

const values = fc.array(fc.double({ min: 0, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 100 });

function recorded(numbers: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const number of numbers) histogram.record(number);
  return histogram;
}

describe("Histogram", () => {
  test("quantiles are right to 1.1 %, in whatever order values come", () => {
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (numbers, q) => {
        const histogram = recorded(numbers);
        const sorted = numbers.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(q * numbers.length)) - 1]!;
        const told = histogram.quantile(q);
        assert.ok(Math.abs(told - exact) <= 0.011 * exact + 0.001, `${told} instead of ${exact}`);
        assert.deepEqual([histogram.count, histogram.max], [numbers.length, sorted.at(-1)]);
      }),
    );
  });

  test("what is added counts as if it had been recorded", () => {
    fc.assert(
      fc.property(values, values, (one, other) => {
        const sum = recorded(one);
        sum.add(recorded(other));
        const all = recorded([...one, ...other]);
        assert.deepEqual([sum.count, sum.max], [all.count, all.max]);
        for (const q of [0, 0.1, 0.5, 0.9, 1]) assert.equal(sum.quantile(q), all.quantile(q));
      }),
    );
  });

  test("quantiles of many values are as right, and add up", () => {
    const one = new Histogram();
    const other = new Histogram();
    for (let i = 1; i <= 10_000; i++) (i % 2 ? one : other).record(i / 10);
    one.add(other);
    assert.deepEqual([one.count, one.max], [10_000, 1000]);
    for (const q of [0.001, 0.5, 0.9, 0.99, 1]) {
      const told = one.quantile(q);
      assert.ok(Math.abs(told - q * 1000) <= 0.011 * q * 1000, `${told} is not near ${q * 1000}`);
    }
  });

  test("nothing recorded is nothing", () => {
    const histogram = new Histogram();
    histogram.add(new Histogram());
    assert.deepEqual([histogram.count, histogram.mean, histogram.quantile(0.5)], [0, 0, 0]);
  });
});
