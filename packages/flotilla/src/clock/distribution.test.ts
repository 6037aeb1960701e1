import assert from "node:assert/strict";
import { test } from "node:test";
import { Histogram } from "../sim/histogram.ts";
import { constant, type Distribution, exponential, lognormal, mixture, uniform } from "./distribution.ts";
import { seededRandom } from "./random.ts";

function sampled(distribution: Distribution): Histogram {
  const random = seededRandom(1);
  const histogram = new Histogram();
  for (let i = 0; i < 100_000; i++) histogram.record(distribution.sample(random));
  return histogram;
}

const near = (actual: number, expected: number, share: number): void =>
  assert.ok(Math.abs(actual - expected) <= expected * share, `${actual} is not near ${expected}`);

test("samples come to the mean, and have the shape", () => {
  for (const distribution of [
    constant(7),
    uniform(2, 12),
    exponential(10),
    lognormal({ median: 5, p99: 40 }),
    mixture([
      [9, exponential(5)],
      [1, constant(100)],
    ]),
  ]) {
    near(sampled(distribution).mean, distribution.mean, 0.03);
  }
  near(sampled(exponential(10)).quantile(0.99), 46.05, 0.04);
  near(sampled(lognormal({ median: 5, p99: 40 })).quantile(0.99), 40, 0.06);
  near(sampled(lognormal({ median: 5, p99: 40 })).quantile(0.5), 5, 0.03);
});

test("what is no distribution is refused, by name", () => {
  assert.throws(() => constant(-1), /constant: value/);
  assert.throws(() => uniform(2, 1), /uniform: max/);
  assert.throws(() => exponential(Infinity), /exponential: mean/);
  assert.throws(() => lognormal({ median: 5, p99: 5 }), /lognormal: p99/);
  assert.throws(() => mixture([]), /mixture: there must be/);
  assert.throws(() => mixture([[0, constant(1)]]), /mixture: weights/);
});
