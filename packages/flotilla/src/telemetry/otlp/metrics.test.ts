import assert from "node:assert/strict";
import { test } from "node:test";
import { type Attributes, ValueType } from "@opentelemetry/api";
import { ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import {
  AggregationTemporality,
  AggregationType,
  DataPointType,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { createMeterProvider } from "../metrics/provider.ts";
import type { AttributeList, MetricData, Scope } from "../model.ts";
import { metricEncoder } from "./metrics.ts";
import { decodeRequest } from "./test-fixtures/decode.ts";

const listOf = (attributes: Attributes): AttributeList =>
  Object.entries(attributes).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
const ms = ([seconds, nanos]: readonly [number, number]): number => seconds * 1e3 + nanos / 1e6;

type OfficialMetric = ResourceMetrics["scopeMetrics"][number]["metrics"][number];

/** What the official SDK has collected, in our model. */
function fromOfficial(metric: OfficialMetric, scope: Scope): MetricData {
  const { descriptor, dataPointType } = metric;
  const { name, description, unit } = descriptor;
  const delta = metric.aggregationTemporality === AggregationTemporality.DELTA;
  const head = { name, description, unit, scope };
  const common = (point: OfficialMetric["dataPoints"][number]) => ({
    attributes: listOf(point.attributes),
    startEpochMs: ms(point.startTime),
    epochMs: ms(point.endTime),
    exemplars: [],
  });
  switch (dataPointType) {
    case DataPointType.HISTOGRAM:
      return {
        ...head,
        type: "histogram",
        delta,
        points: metric.dataPoints.map((point) => ({
          ...common(point),
          count: point.value.count,
          sum: point.value.sum ?? 0,
          min: point.value.min,
          max: point.value.max,
          bounds: point.value.buckets.boundaries,
          counts: point.value.buckets.counts,
        })),
      };
    case DataPointType.EXPONENTIAL_HISTOGRAM:
      return {
        ...head,
        type: "exponential",
        delta,
        points: metric.dataPoints.map((point) => ({
          ...common(point),
          count: point.value.count,
          sum: point.value.sum ?? 0,
          min: point.value.min,
          max: point.value.max,
          scale: point.value.scale,
          zeroCount: point.value.zeroCount,
          zeroThreshold: 0,
          positive: { offset: point.value.positive.offset, counts: point.value.positive.bucketCounts },
          negative: { offset: point.value.negative.offset, counts: point.value.negative.bucketCounts },
        })),
      };
    default: {
      const points = metric.dataPoints.map((point) => ({
        ...common(point),
        value: point.value,
        integer: descriptor.valueType === ValueType.INT,
      }));
      if (dataPointType === DataPointType.GAUGE) return { ...head, type: "gauge", points };
      return { ...head, type: "sum", monotonic: metric.isMonotonic, delta, points };
    }
  }
}

/** Times are compared to the microsecond: our model has them as doubles of milliseconds. */
function rounded(json: unknown): unknown {
  return JSON.parse(JSON.stringify(json), (name: string, value: unknown) =>
    name.endsWith("UnixNano") ? String(Math.round(Number(value) / 1000)) : value,
  );
}

for (const temporality of [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA]) {
  test(`says of every instrument what the official serializer says, temporality ${AggregationTemporality[temporality]}`, async () => {
    const memory = new InMemoryMetricExporter(temporality);
    const reader = new PeriodicExportingMetricReader({ exporter: memory, exportIntervalMillis: 3_600_000 });
    const provider = new MeterProvider({
      readers: [reader],
      views: [{ instrumentName: "exponential", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
    });
    const meter = provider.getMeter("flotilla", "1.2.3", { schemaUrl: "https://example.com/schema" });
    const requests = meter.createCounter("requests", {
      unit: "{request}",
      description: "Größe",
      valueType: ValueType.INT,
    });
    requests.add(3, { method: "sum", list: ["a"] });
    requests.add(2 ** 40);
    const level = meter.createUpDownCounter("level", { valueType: ValueType.INT });
    level.add(-7);
    meter.createCounter("seconds").add(0.25);
    meter.createGauge("temperature").record(-40.5);
    const duration = meter.createHistogram("duration", {
      unit: "s",
      advice: { explicitBucketBoundaries: [0.005, 0.1, 5] },
    });
    for (const value of [0.001, 0.05, 0.05, 7]) duration.record(value, { method: "sum" });
    meter.createHistogram("boundless", { advice: { explicitBucketBoundaries: [] } }).record(1);
    const exponential = meter.createHistogram("exponential");
    for (const value of [0, 0.001, 1, 1000, 1e9]) exponential.record(value);
    await reader.forceFlush();
    const [collected] = memory.getMetrics();
    await reader.shutdown();
    assert.ok(collected);
    const ours = collected.scopeMetrics.flatMap(({ scope, metrics }) => {
      const own = { name: scope.name, version: scope.version, schemaUrl: scope.schemaUrl };
      return metrics.map((metric) => fromOfficial(metric, own));
    });
    assert.equal(ours.length, 7);
    const { bytes, failed } = metricEncoder({ attributes: collected.resource.attributes })(ours);
    assert.equal(failed, 0);
    const theirs = decodeRequest("Metrics", ProtobufMetricsSerializer.serializeRequest(collected)!);
    assert.deepEqual(rounded(decodeRequest("Metrics", bytes)), rounded(theirs));
  });
}

test("exemplars of an exponential histogram go out with it", async () => {
  const clock = new VirtualClock();
  const provider = createMeterProvider({ histograms: "exponential", clock });
  const series = provider.getMeter("flotilla").createHistogram("took", { unit: "s" }).bind({ method: "sum" });
  const span = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" };
  for (let i = 0; i < 100; i++) series.record(0.25 * (i % 4), { ...span, traceFlags: i % 2 });
  const json = decodeRequest("Metrics", metricEncoder({ attributes: {} })(await provider.collect()).bytes) as {
    resourceMetrics: {
      scopeMetrics: { metrics: { exponentialHistogram: { dataPoints: { exemplars: unknown[] }[] } }[] }[];
    }[];
  };
  const { exemplars } = json.resourceMetrics[0]!.scopeMetrics[0]!.metrics[0]!.exponentialHistogram.dataPoints[0]!;
  assert.equal(exemplars.length, 2, "one a range");
  for (const exemplar of exemplars as { asDouble: number }[]) {
    // Those of odd numbers: the others were of unsampled traces.
    assert.ok([0.25, 0.75].includes(exemplar.asDouble));
    assert.deepEqual(exemplar, {
      timeUnixNano: String(BigInt(clock.epoch()) * 1_000_000n),
      asDouble: exemplar.asDouble,
      traceId: Buffer.from(span.traceId, "hex").toString("base64"),
      spanId: Buffer.from(span.spanId, "hex").toString("base64"),
    });
  }
});

test("exemplars, thresholds and values that are no integers", () => {
  const scope: Scope = { name: "s", version: undefined, schemaUrl: undefined };
  const exemplar = {
    value: 0.5,
    epochMs: 1,
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "b7ad6b7169203331",
    attributes: ["user", "ü"],
  };
  const bare = { value: -1, epochMs: 2, traceId: undefined, spanId: undefined, attributes: [] };
  const head = { description: "", unit: "", scope };
  const times = { attributes: [], startEpochMs: 0, epochMs: 1 };
  const buckets = { offset: -3, counts: [1, 0, 2 ** 40] };
  const json = decodeRequest(
    "Metrics",
    metricEncoder({ attributes: {} })([
      {
        ...head,
        name: "h",
        type: "histogram",
        delta: true,
        points: [
          {
            ...times,
            count: 1,
            sum: 0.5,
            min: undefined,
            max: undefined,
            bounds: [1],
            counts: [1, 0],
            exemplars: [exemplar, bare],
          },
        ],
      },
      {
        ...head,
        name: "e",
        type: "exponential",
        delta: false,
        points: [
          {
            ...times,
            count: 1,
            sum: 0,
            min: -1,
            max: 1,
            scale: -4,
            zeroCount: 2,
            zeroThreshold: 0.25,
            positive: buckets,
            negative: buckets,
            exemplars: [bare],
          },
        ],
      },
      {
        ...head,
        name: "g",
        type: "gauge",
        points: [-5, 0.5, Number.NaN].map((value) => ({ ...times, value, integer: true, exemplars: [] })),
      },
    ]).bytes,
  ) as { resourceMetrics: { scopeMetrics: { metrics: unknown[] }[] }[] };
  const point = { timeUnixNano: "1000000" };
  const encodedBare = { timeUnixNano: "2000000", asDouble: -1 };
  const encodedBuckets = { offset: -3, bucketCounts: ["1", "0", String(2 ** 40)] };
  assert.deepEqual(json.resourceMetrics[0]?.scopeMetrics[0]?.metrics, [
    {
      name: "h",
      histogram: {
        aggregationTemporality: 1,
        dataPoints: [
          {
            ...point,
            count: "1",
            sum: 0.5,
            explicitBounds: [1],
            bucketCounts: ["1", "0"],
            exemplars: [
              {
                timeUnixNano: "1000000",
                asDouble: 0.5,
                traceId: Buffer.from(exemplar.traceId, "hex").toString("base64"),
                spanId: Buffer.from(exemplar.spanId, "hex").toString("base64"),
                filteredAttributes: [{ key: "user", value: { stringValue: "ü" } }],
              },
              encodedBare,
            ],
          },
        ],
      },
    },
    {
      name: "e",
      exponentialHistogram: {
        aggregationTemporality: 2,
        dataPoints: [
          {
            ...point,
            count: "1",
            sum: 0,
            min: -1,
            max: 1,
            scale: -4,
            zeroCount: "2",
            zeroThreshold: 0.25,
            positive: encodedBuckets,
            negative: encodedBuckets,
            exemplars: [encodedBare],
          },
        ],
      },
    },
    {
      name: "g",
      gauge: {
        dataPoints: [
          { ...point, asInt: "-5" },
          { ...point, asDouble: 0.5 },
          { ...point, asDouble: "NaN" },
        ],
      },
    },
  ]);
});
