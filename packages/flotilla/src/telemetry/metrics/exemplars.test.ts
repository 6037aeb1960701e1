import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import fc from "fast-check";
import { systemClock } from "../../clock/system-clock.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Exemplar } from "../model.ts";
import { deltas } from "./deltas.ts";
import { BucketExemplars, type ExemplarSpan, RangeExemplars } from "./exemplars.ts";
import { prometheusText } from "./prometheus.ts";
import { createMeterProvider } from "./provider.ts";

const span = (n: number, traceFlags = 1): ExemplarSpan => ({
  traceId: n.toString(16).padStart(32, "0"),
  spanId: n.toString(16).padStart(16, "0"),
  traceFlags,
});
const valuesOf = (exemplars: readonly Exemplar[]): number[] => exemplars.map(({ value }) => value);

describe("exemplars of exponential histograms", () => {
  test("the rare slow measurement has one, however many quick ones there are", () => {
    const reservoir = new RangeExemplars(new VirtualClock());
    for (let i = 0; i < 10_000; i++) reservoir.offer(0.001 + i / 1e8, span(i + 1));
    reservoir.offer(2.5, span(77));
    reservoir.offer(0, span(78));
    reservoir.offer(-3, span(79));
    const values = valuesOf(reservoir.collect());
    assert.ok(values.includes(2.5) && values.includes(0) && values.includes(-3), values.join(" "));
    assert.ok(values.length <= 20);
  });

  test("of sampled traces alone, and what was collected gives way to the next", async () => {
    const clock = new VirtualClock();
    const reservoir = new RangeExemplars(clock);
    reservoir.offer(1, span(1, 0));
    assert.deepEqual(reservoir.collect(), []);
    reservoir.offer(1, span(1));
    reservoir.offer(1, span(2));
    assert.deepEqual(reservoir.collect()[0]?.traceId, span(1).traceId, "the first");
    assert.deepEqual(reservoir.collect()[0]?.traceId, span(1).traceId, "another reader sees it too");
    await clock.advance(1);
    reservoir.offer(1, span(3));
    assert.deepEqual(reservoir.collect(), [{ value: 1, epochMs: clock.epoch(), ...ids(3), attributes: [] }]);
  });

  test("in one bucket of the Prometheus text they are ever newer (property)", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.double({ min: 1e-4, max: 1e3, noNaN: true })), { maxLength: 20 }),
        async (rounds) => {
          const clock = new VirtualClock();
          const provider = createMeterProvider({ histograms: "exponential", clock });
          const series = provider.getMeter("test").createHistogram("took").bind();
          const shown = new Map<string, number>();
          for (const values of rounds) {
            for (const [i, value] of values.entries()) {
              await clock.advance(1);
              series.record(value, span(i + 1));
            }
            const text = prometheusText(await provider.collect(), { attributes: {} }, "openmetrics");
            for (const [, bucket = "", at] of text.matchAll(/^(took_bucket\{.*?\}) \d+ # .* ([\d.]+)$/gm)) {
              assert.ok(Number(at) >= (shown.get(bucket) ?? 0), bucket);
              shown.set(bucket, Number(at));
            }
          }
          assert.ok(shown.size > 0 || rounds.flat().length === 0);
        },
      ),
    );
  });

  test("come with the point, and a delta has those of its own time", async () => {
    const clock = new VirtualClock();
    const provider = createMeterProvider({ histograms: "exponential", clock });
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
    const ranges = new RangeExemplars(systemClock);
    const of = span(1);
    const offers = (count: number): void => {
      for (let i = 0; i < count; i++) {
        buckets.offer(0, i, of);
        ranges.offer(i, of);
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
