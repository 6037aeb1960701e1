import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Attributes, ValueType } from "@opentelemetry/api";
import fc from "fast-check";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { MetricData } from "../model.ts";
import { deltas } from "./deltas.ts";
import { createMeterProvider, type MeterProviderOptions } from "./provider.ts";

function bed(options: MeterProviderOptions = {}) {
  const clock = new VirtualClock();
  const warnings: string[] = [];
  const provider = createMeterProvider({ clock, onWarning: (warning) => warnings.push(warning), ...options });
  return { clock, warnings, provider, meter: provider.getMeter("test", "1.0") };
}

/** Values of sums and gauges by attributes. */
function values(data: readonly MetricData[], name: string): Record<string, number> {
  const metric = data.find((each) => each.name === name);
  assert.ok(metric !== undefined && (metric.type === "sum" || metric.type === "gauge"), `${name} is there`);
  return Object.fromEntries(metric.points.map(({ attributes, value }) => [attributes.join(" "), value]));
}

describe("instruments", () => {
  test("counters add, gauges keep the last, by attributes in any order", async () => {
    const { provider, meter, clock } = bed();
    const counter = meter.createCounter("made", { valueType: ValueType.INT, unit: "{thing}", description: "Things." });
    counter.add(2, { a: 1, b: "x" });
    counter.add(3, { b: "x", a: 1 });
    counter.bind({ b: "x", a: 1 }).add(1);
    counter.add(1);
    meter.createUpDownCounter("held").add(-5);
    const gauge = meter.createGauge("level");
    gauge.record(1);
    gauge.record(0.5);
    await clock.advance(10);
    const data = await provider.collect();
    assert.deepEqual(values(data, "made"), { "": 1, "a 1 b x": 6 });
    assert.deepEqual(values(data, "held"), { "": -5 });
    assert.deepEqual(values(data, "level"), { "": 0.5 });
    const made = data.find(({ name }) => name === "made")!;
    assert.ok(made.type === "sum" && made.monotonic && made.points[0]!.integer);
    assert.equal(made.points[0]!.epochMs - made.points[0]!.startEpochMs, 10);
  });

  test("what is no measurement is ignored and counted, never thrown", async () => {
    const { provider, meter } = bed();
    const counter = meter.createCounter("made");
    for (const wrong of [-1, Number.NaN, Infinity, "1", undefined, {}, 1n]) counter.add(wrong as number);
    const histogram = meter.createHistogram("took");
    for (const wrong of [Number.NaN, Infinity, "1", null]) histogram.record(wrong as number);
    assert.equal(provider.counts.invalid, 11);
    assert.deepEqual(values(await provider.collect(), "made"), { "": 0 });
  });

  test("hostile attributes are contained (property)", async () => {
    const { provider, meter } = bed({ maxSeries: 50 });
    const counter = meter.createCounter("made");
    const hostile = fc.oneof(
      fc.anything(),
      fc.constantFrom(
        {
          get bad(): never {
            throw new Error("getter");
          },
        },
        new Proxy(
          {},
          {
            ownKeys() {
              throw new Error("keys");
            },
          },
        ),
        { big: "x".repeat(1_000_000) },
      ),
    );
    let added = 0;
    fc.assert(
      fc.property(hostile, (attributes) => {
        counter.add(1, attributes as Attributes);
        added++;
      }),
    );
    const [metric] = await provider.collect();
    assert.ok(metric?.type === "sum");
    assert.equal(
      metric.points.reduce((sum, { value }) => sum + value, 0),
      added,
      "each is counted somewhere",
    );
    assert.ok(JSON.stringify(metric).length < 200_000);
  });

  test("series beyond the limit are counted together, those that are there go on", async () => {
    const { provider, meter } = bed({ maxSeries: 10 });
    const counter = meter.createCounter("made");
    for (let i = 0; i < 100; i++) counter.add(1, { user: i });
    counter.add(1, { user: 3 });
    const made = values(await provider.collect(), "made");
    assert.equal(Object.keys(made).length, 10);
    assert.equal(made["user 3"], 2);
    assert.equal(made["otel.metric.overflow true"], 91);
    assert.equal(provider.counts.overflowed, 91);
  });

  test("an instrument asked for twice is one; one that contradicts it is warned of once and not collected", async () => {
    const { provider, meter, warnings } = bed();
    assert.equal(meter.createCounter("Made"), meter.createCounter("made"));
    meter.createCounter("made").add(1);
    meter.createHistogram("made").record(1);
    meter.createHistogram("made").record(1);
    meter.createCounter("1 bad name").add(1);
    assert.deepEqual(warnings.length, 2, warnings.join("\n"));
    assert.match(warnings[0]!, /made is a counter already/);
    assert.match(warnings[1]!, /a name is a letter/);
    assert.deepEqual(
      (await provider.collect()).map(({ name }) => name),
      ["Made"],
    );
  });

  test("observable instruments are asked at each collection; one that fails or hangs costs the others nothing", async () => {
    const { provider, meter, clock } = bed();
    let heat = 20;
    const thermometer = meter.createObservableGauge("heat");
    thermometer.addCallback((result) => result.observe(heat, { room: "a" }));
    const broken = meter.createObservableGauge("broken");
    broken.addCallback(() => {
      throw new Error("broken");
    });
    const slow = meter.createObservableGauge("slow");
    slow.addCallback(() => new Promise(() => {}));
    const a = meter.createObservableCounter("a");
    const other = meter.createObservableCounter("other");
    const batch = (result: { observe(of: typeof a, value: number): void }): void => {
      result.observe(a, 7);
      result.observe(other, 8);
    };
    meter.addBatchObservableCallback(batch, [a]);
    const collect = async (): Promise<MetricData[]> => {
      const collecting = provider.collect();
      await clock.advance(5000);
      return collecting;
    };
    assert.deepEqual(values(await collect(), "heat"), { "room a": 20 });
    heat = 25;
    meter.removeBatchObservableCallback(batch, [a]);
    const data = await collect();
    assert.deepEqual(values(data, "heat"), { "room a": 25 });
    assert.deepEqual(
      data.map(({ name }) => name),
      ["heat"],
    );
    assert.equal(provider.counts.failedCallbacks, 2);
  });

  test("histograms: upper bounds are inclusive; bounds that are not legal are warned of", async () => {
    const { provider, meter, warnings } = bed();
    const histogram = meter.createHistogram("took", { advice: { explicitBucketBoundaries: [1, 2] } });
    for (const value of [0, 1, 1.5, 2, 3]) histogram.record(value);
    meter.createHistogram("bad", { advice: { explicitBucketBoundaries: [2, 1] } }).record(1);
    const [took, bad] = await provider.collect();
    assert.ok(took?.type === "histogram" && bad?.type === "histogram");
    const { counts, count, sum, min, max } = took.points[0]!;
    assert.deepEqual([counts, count, sum, min, max], [[2, 2, 1], 5, 7.5, 0, 3]);
    assert.equal(bad.points[0]!.bounds.length, 15);
    assert.match(warnings[0]!, /bad: bounds/);
  });

  test("exemplars: one a bucket and collection, of sampled traces", async () => {
    const { provider, meter } = bed();
    const series = meter.createHistogram("took", { advice: { explicitBucketBoundaries: [1] } }).bind();
    const span = (traceId: string, traceFlags: number) => ({ traceId, spanId: "1", traceFlags });
    series.record(0.5, span("unsampled", 0));
    series.record(0.6, span("first", 1));
    series.record(0.7, span("second", 1));
    series.record(5, span("slow", 3));
    const exemplars = async (): Promise<unknown[]> => {
      const [took] = await provider.collect();
      assert.ok(took?.type === "histogram");
      return took.points[0]!.exemplars.map(({ traceId, value }) => [traceId, value]);
    };
    assert.deepEqual(await exemplars(), [
      ["first", 0.6],
      ["slow", 5],
    ]);
    series.record(0.8, span("third", 1));
    assert.deepEqual(await exemplars(), [
      ["third", 0.8],
      ["slow", 5],
    ]);
  });
});

describe("deltas", () => {
  test("add up to the cumulative values (property)", async () => {
    const step = fc.array(
      fc.record({ user: fc.integer({ min: 0, max: 3 }), value: fc.double({ min: 1e-5, max: 1e5, noNaN: true }) }),
      { maxLength: 20 },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
        const { provider, meter } = bed({ histograms: "exponential" });
        const other = bed({ histograms: "explicit" });
        const counter = meter.createCounter("made");
        const explicit = other.meter.createHistogram("explicit", { advice: { explicitBucketBoundaries: [1, 100] } });
        const exponential = meter.createHistogram("exponential");
        const since = deltas();
        const sums = { made: 0, explicit: [0, 0, 0], count: 0, buckets: 0 };
        for (const measurements of steps) {
          for (const { user, value } of measurements) {
            counter.add(value, { user });
            explicit.record(value);
            exponential.record(value);
          }
          for (const metric of since([...(await provider.collect()), ...(await other.provider.collect())])) {
            if (metric.type === "sum") for (const { value } of metric.points) sums.made += value;
            if (metric.type === "histogram") {
              assert.ok(metric.delta);
              for (const { counts } of metric.points) counts.forEach((count, i) => (sums.explicit[i]! += count));
            }
            if (metric.type === "exponential") {
              for (const { count, positive } of metric.points) {
                sums.count += count;
                for (const each of positive.counts) {
                  assert.ok(each >= 0, "no bucket goes down");
                  sums.buckets += each;
                }
              }
            }
          }
        }
        const all = steps.flat();
        const expected = all.reduce((sum, { value }) => sum + value, 0);
        assert.ok(Math.abs(sums.made - expected) <= expected * 1e-9);
        assert.deepEqual(sums.explicit, [
          all.filter(({ value }) => value <= 1).length,
          all.filter(({ value }) => value > 1 && value <= 100).length,
          all.filter(({ value }) => value > 100).length,
        ]);
        assert.deepEqual([sums.count, sums.buckets], [all.length, all.length]);
      }),
      { numRuns: 50 },
    );
  });
});
