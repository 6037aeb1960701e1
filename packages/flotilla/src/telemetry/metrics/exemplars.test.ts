import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { seededRandom, systemRandom } from "../../clock/random.ts";
import { systemClock } from "../../clock/system-clock.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Exemplar } from "../model.ts";
import { deltas } from "./deltas.ts";
import { BucketExemplars, type ExemplarSpan, SampledExemplars } from "./exemplars.ts";
import { createMeterProvider } from "./provider.ts";

const SIZE = 20;
const span = (n: number, traceFlags = 1): ExemplarSpan => ({
  traceId: n.toString(16).padStart(32, "0"),
  spanId: n.toString(16).padStart(16, "0"),
  traceFlags,
});
const valuesOf = (exemplars: readonly Exemplar[]): number[] => exemplars.map(({ value }) => value);

describe("exemplars of exponential histograms", () => {
  test("each measurement has the same chance to be kept", () => {
    const reservoir = new SampledExemplars(SIZE, new VirtualClock(), seededRandom(7));
    const rounds = 2000;
    const kept = Array.from({ length: 100 }, () => 0);
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < kept.length; i++) reservoir.offer(i, span(i + 1));
      const values = valuesOf(reservoir.collect());
      assert.equal(new Set(values).size, SIZE);
      for (const value of values) kept[value]!++;
    }
    // Of a binomial distribution, five standard deviations: the seed makes it repeatable.
    const share = SIZE / kept.length;
    const slack = 5 * Math.sqrt(rounds * share * (1 - share));
    for (const count of kept) assert.ok(Math.abs(count - rounds * share) < slack, kept.join(" "));
  });

  test("of sampled traces alone, and what was collected gives way to the next", () => {
    const clock = new VirtualClock();
    const reservoir = new SampledExemplars(SIZE, clock, seededRandom(1));
    reservoir.offer(1, span(1, 0));
    assert.deepEqual(reservoir.collect(), []);
    for (let i = 0; i < 25; i++) reservoir.offer(1, span(1));
    assert.equal(reservoir.collect().length, SIZE);
    for (let i = 0; i < 3; i++) reservoir.offer(2, span(2));
    const exemplars = reservoir.collect();
    assert.deepEqual(valuesOf(exemplars).slice(0, 4), [2, 2, 2, 1]);
    assert.deepEqual(exemplars[0], { value: 2, epochMs: clock.epoch(), ...ids(2), attributes: [] });
  });

  test("whatever chance gives", () => {
    for (const next of [0, 1 - 2 ** -53]) {
      const reservoir = new SampledExemplars(SIZE, new VirtualClock(), { next: () => next });
      for (let i = 0; i < 1000; i++) reservoir.offer(i, span(i + 1));
      assert.equal(reservoir.collect().length, SIZE);
    }
  });

  test("come with the point, and a delta has those of its own time", async () => {
    const clock = new VirtualClock();
    const provider = createMeterProvider({ histograms: "exponential", clock, random: seededRandom(1) });
    const series = provider.getMeter("test").createHistogram("took").bind();
    const since = deltas();
    const collect = async (): Promise<number[]> => {
      await clock.advance(1);
      const [took] = since(await provider.collect());
      assert.ok(took?.type === "exponential");
      return valuesOf(took.points[0]!.exemplars);
    };
    series.record(1, span(1));
    series.record(2, span(2));
    assert.deepEqual(await collect(), [1, 2]);
    await clock.advance(1);
    series.record(3, span(3));
    assert.deepEqual(await collect(), [3], "2 is of the time before");
  });

  test("an instrument of the OpenTelemetry API takes the span of its context", async () => {
    for (const histograms of ["explicit", "exponential"] as const) {
      const provider = createMeterProvider({ histograms });
      const within = trace.setSpanContext(ROOT_CONTEXT, span(9));
      provider.getMeter("test").createHistogram("took").record(1, {}, within);
      const [took] = await provider.collect();
      assert.ok(took?.type === "exponential" || took?.type === "histogram");
      assert.equal(took.points[0]!.exemplars[0]?.traceId, span(9).traceId);
    }
  });
});

describe("a bound record allocates nothing", () => {
  for (const histograms of ["explicit", "exponential"] as const) {
    test(`${histograms}, exemplars included`, () => {
      const series = createMeterProvider({ histograms }).getMeter("test").createHistogram("took").bind();
      const of = span(1);
      // With a text among them numbers are kept boxed, so that the caller need not box each.
      const values: unknown[] = ["boxed", ...Array.from({ length: 1000 }, (_, i) => i * 1.5 + 0.25)];
      const records = (rounds: number): void => {
        for (let round = 0; round < rounds; round++)
          for (let i = 1; i < values.length; i++) series.record(values[i] as number, of);
      };
      records(500);
      assert.ok(leastGrowth(() => records(50)) < 50_000, "less than a byte a record");
    });
  }

  test("the reservoirs, every measurement kept", () => {
    const buckets = new BucketExemplars(1, systemClock);
    const sampled = new SampledExemplars(SIZE, systemClock, systemRandom);
    const of = span(1);
    const offers = (count: number): void => {
      for (let i = 0; i < count; i++) {
        buckets.offer(0, i, of);
        sampled.offer(i, of);
      }
    };
    offers(300_000);
    assert.ok(leastGrowth(() => offers(50_000)) < 50_000);
  });
});

/** Bytes of heap that some work takes. The least of some tries: the runtime's own work comes in between. */
function leastGrowth(work: () => void): number {
  let least = Infinity;
  for (let i = 0; i < 10; i++) {
    const before = process.memoryUsage().heapUsed;
    work();
    // A collection in between shows as less than nothing: that try says nothing.
    const growth = process.memoryUsage().heapUsed - before;
    if (growth >= 0) least = Math.min(least, growth);
  }
  return least;
}

function ids(n: number): Pick<Exemplar, "traceId" | "spanId"> {
  const { traceId, spanId } = span(n);
  return { traceId, spanId };
}
