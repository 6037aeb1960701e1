import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { boundsOf, bucketOfHalves, ExponentialHistogram } from "./exponential.ts";

const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => Math.abs(value) < 1e300);
const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

function of(values: readonly number[]): ExponentialHistogram {
  const histogram = new ExponentialHistogram();
  for (const value of values) histogram.record(value);
  return histogram;
}

describe("exponential histogram", () => {
  test("counts every value once, in no more than 160 buckets a sign (property)", () => {
    fc.assert(
      fc.property(fc.array(finite, { maxLength: 60 }), (values) => {
        const { count, zeroCount, positive, negative, sum, min, max } = of(values);
        assert.equal(count, values.length);
        assert.equal(zeroCount, values.filter((value) => value === 0).length);
        assert.equal(total(positive.counts), values.filter((value) => value > 0).length);
        assert.equal(total(negative.counts), values.filter((value) => value < 0).length);
        assert.ok(positive.counts.length <= 160 && negative.counts.length <= 160);
        if (values.length > 0) {
          assert.deepEqual([min, max], [Math.min(...values), Math.max(...values)]);
          assert.ok(Math.abs(sum - values.reduce((a, b) => a + b, 0)) <= Math.abs(sum) * 1e-9 + 1e-290);
        }
      }),
    );
  });

  test("each value lies within its bucket, bounds exclusive below and inclusive above (property)", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.double({ min: 1e-300, max: 1e300, noNaN: true }),
          fc.integer({ min: -1074, max: 1000 }).map((e) => 2 ** e),
        ),
        fc.integer({ min: 0, max: 24 }),
        (value, steps) => {
          const histogram = new ExponentialHistogram();
          histogram.downscale(steps);
          histogram.record(value);
          const [lower, upper] = boundsOf(histogram.positive.offset, histogram.scale);
          // The bounds themselves are rounded.
          assert.ok(value >= lower * (1 - 1e-9) && value <= upper * (1 + 1e-9), `${lower} < ${value} <= ${upper}`);
          if (
            Number.isInteger(Math.log2(value)) &&
            2 ** Math.log2(value) === value &&
            histogram.scale <= 0 &&
            value >= 2 ** -1022
          )
            assert.ok(value > lower && value <= upper, "an exact power belongs to the bucket below");
        },
      ),
      { numRuns: 500 },
    );
  });

  test("falling to a coarser scale loses nothing: the same as if it had been coarse from the start (property)", () => {
    const positive = fc.double({ min: 1e-6, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(fc.array(positive, { minLength: 1, maxLength: 50 }), (values) => {
        const grown = of(values);
        const coarse = new ExponentialHistogram();
        coarse.downscale(20 - grown.scale);
        for (const value of values) coarse.record(value);
        assert.equal(coarse.scale, grown.scale);
        // Logarithms are rounded: a value next to a bound may fall to its neighbour at one scale and not at another.
        assert.ok(Math.abs(coarse.positive.offset - grown.positive.offset) <= 1);
        assert.equal(total(coarse.positive.counts), total(grown.positive.counts));
      }),
    );
  });

  test("the bucket of half a power of two is that of scale 1, bounds included (property)", () => {
    const bound = fc.integer({ min: -2000, max: 2000 }).map((i) => 2 ** (i / 2));
    fc.assert(
      fc.property(fc.oneof(fc.double({ min: 2 ** -1022, max: 1e300, noNaN: true }), bound), (value) => {
        const [lower, upper] = boundsOf(bucketOfHalves(value), 1);
        assert.ok(value > lower && value <= upper, `${lower} < ${value} <= ${upper}`);
        assert.equal(bucketOfHalves(-value), bucketOfHalves(value));
      }),
      { numRuns: 1000 },
    );
  });

  test("the range of 1 ms to 10 s takes a scale of 3 or finer: errors of a quantile below 10 %", () => {
    const { scale } = of([0.001, 10]);
    assert.ok(scale >= 3, `${scale}`);
  });

  test("the extremes of numbers are survived", () => {
    const { scale, positive, negative } = of([
      Number.MIN_VALUE,
      Number.MAX_VALUE,
      -Number.MIN_VALUE,
      -Number.MAX_VALUE,
      1,
    ]);
    assert.ok(scale >= -10);
    assert.deepEqual([total(positive.counts), total(negative.counts)], [3, 2]);
  });
});
