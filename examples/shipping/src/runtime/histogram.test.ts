import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { countOf, createHistogram, quantile, record, since, sum } from "./histogram.ts";

const durations = fc.array(fc.double({ min: 0.01, max: 100_000, noNaN: true }), { minLength: 1, maxLength: 200 });

function of(values: readonly number[]) {
  const histogram = createHistogram();
  for (const value of values) record(histogram, value);
  return histogram;
}

test("quantiles are those of the values, within a bucket", () => {
  fc.assert(
    fc.property(durations, fc.constantFrom(0.5, 0.9, 0.99, 1), (values, share) => {
      const exact = values.toSorted((a, b) => a - b)[Math.ceil(share * values.length) - 1] ?? 0;
      const found = quantile(of(values), share) ?? 0;
      assert.ok(found / exact < 1.1 && exact / found < 1.1, `${found} for ${exact}`);
    }),
  );
});

test("sums and differences count what was counted", () => {
  fc.assert(
    fc.property(durations, durations, (a, b) => {
      assert.deepEqual(sum([of(a), of(b)]), of([...a, ...b]));
      assert.deepEqual(since(of([...a, ...b]), of(a)), of(b));
      assert.equal(countOf(of(a)), a.length);
    }),
  );
});

test("nothing counted has no quantile; what is out of range counts at the ends", () => {
  assert.equal(quantile(createHistogram(), 0.5), undefined);
  assert.equal(countOf(of([0, -1, 1e12, Number.POSITIVE_INFINITY])), 4);
});
