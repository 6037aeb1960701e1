import type {
  Exemplar,
  ExponentialBuckets,
  ExponentialPoint,
  HistogramPoint,
  MetricData,
  NumberPoint,
  Resource,
} from "../model.ts";
import type { AttributeWriter } from "./attributes.ts";
import { type Encode, requestEncoder } from "./request.ts";
import type { Wire } from "./wire.ts";

// AggregationTemporality.
const DELTA = 1;
const CUMULATIVE = 2;

/** Encodes metrics as `ExportMetricsServiceRequest` (opentelemetry/proto/collector/metrics/v1). */
export function metricEncoder(resource: Resource): Encode<MetricData> {
  return requestEncoder(resource, writeMetric);
}

function writeMetric(wire: Wire, attributes: AttributeWriter, metric: MetricData): void {
  const start = wire.begin(0x12, 2);
  wire.text(0x0a, metric.name);
  if (metric.description !== "") wire.text(0x12, metric.description);
  if (metric.unit !== "") wire.text(0x1a, metric.unit);
  const data = wire.begin(dataTags[metric.type], 2);
  switch (metric.type) {
    case "histogram":
      for (const point of metric.points) writeHistogramPoint(wire, attributes, point);
      break;
    case "exponential":
      for (const point of metric.points) writeExponentialPoint(wire, attributes, point);
      break;
    default:
      for (const point of metric.points) writeNumberPoint(wire, attributes, point);
  }
  wire.reserve(4);
  if (metric.type !== "gauge") {
    wire.byte(0x10);
    wire.byte(metric.delta ? DELTA : CUMULATIVE);
  }
  if (metric.type === "sum" && metric.monotonic) {
    wire.byte(0x18);
    wire.byte(1);
  }
  wire.end(data, 2);
  wire.end(start, 2);
}

const dataTags = { gauge: 0x2a, sum: 0x3a, histogram: 0x4a, exponential: 0x52 } as const;

/** The two times that all points begin with. */
function times(wire: Wire, point: { readonly startEpochMs: number; readonly epochMs: number }): void {
  wire.byte(0x11);
  wire.nanos(point.startEpochMs);
  wire.byte(0x19);
  wire.nanos(point.epochMs);
}

function double(wire: Wire, tag: number, value: number): void {
  wire.byte(tag);
  wire.double(value);
}

function fixed64(wire: Wire, tag: number, value: number): void {
  wire.byte(tag);
  wire.fixed64(value);
}

/** `as_int` or `as_double`; what its instrument calls an integer and is none stays what it is. */
function number(wire: Wire, value: number, integer: boolean): void {
  if (integer && Number.isSafeInteger(value)) fixed64(wire, 0x31, value);
  else double(wire, 0x21, value);
}

function writeNumberPoint(wire: Wire, attributes: AttributeWriter, point: NumberPoint): void {
  const start = wire.begin(0x0a, 1);
  wire.reserve(32);
  times(wire, point);
  number(wire, point.value, point.integer);
  attributes.write(0x3a, point.attributes);
  for (const exemplar of point.exemplars) writeExemplar(wire, attributes, 0x2a, exemplar);
  wire.end(start, 1);
}

function writeHistogramPoint(wire: Wire, attributes: AttributeWriter, point: HistogramPoint): void {
  const { counts, bounds } = point;
  const start = wire.begin(0x0a, 2);
  wire.reserve(80 + 8 * (counts.length + bounds.length));
  times(wire, point);
  fixed64(wire, 0x21, point.count);
  double(wire, 0x29, point.sum);
  if (point.min !== undefined) double(wire, 0x59, point.min);
  if (point.max !== undefined) double(wire, 0x61, point.max);
  wire.byte(0x32);
  wire.varint(8 * counts.length);
  for (let i = 0; i < counts.length; i++) wire.fixed64(counts[i]!);
  wire.byte(0x3a);
  wire.varint(8 * bounds.length);
  for (let i = 0; i < bounds.length; i++) wire.double(bounds[i]!);
  attributes.write(0x4a, point.attributes);
  for (const exemplar of point.exemplars) writeExemplar(wire, attributes, 0x42, exemplar);
  wire.end(start, 2);
}

function writeExponentialPoint(wire: Wire, attributes: AttributeWriter, point: ExponentialPoint): void {
  const start = wire.begin(0x0a, 2);
  wire.reserve(80);
  times(wire, point);
  fixed64(wire, 0x21, point.count);
  double(wire, 0x29, point.sum);
  wire.byte(0x30);
  wire.sint32(point.scale);
  fixed64(wire, 0x39, point.zeroCount);
  if (point.min !== undefined) double(wire, 0x61, point.min);
  if (point.max !== undefined) double(wire, 0x69, point.max);
  if (point.zeroThreshold !== 0) double(wire, 0x71, point.zeroThreshold);
  writeBuckets(wire, 0x42, point.positive);
  writeBuckets(wire, 0x4a, point.negative);
  attributes.write(0x0a, point.attributes);
  for (const exemplar of point.exemplars) writeExemplar(wire, attributes, 0x5a, exemplar);
  wire.end(start, 2);
}

function writeBuckets(wire: Wire, tag: number, { offset, counts }: ExponentialBuckets): void {
  const start = wire.begin(tag, 2);
  wire.reserve(6 + 10 * counts.length);
  wire.byte(0x08);
  wire.sint32(offset);
  const packed = wire.begin(0x12, 2);
  wire.reserve(10 * counts.length);
  for (let i = 0; i < counts.length; i++) wire.int64(counts[i]!);
  wire.end(packed, 2);
  wire.end(start, 2);
}

function writeExemplar(wire: Wire, attributes: AttributeWriter, tag: number, exemplar: Exemplar): void {
  const start = wire.begin(tag, 1);
  wire.reserve(64);
  wire.byte(0x11);
  wire.nanos(exemplar.epochMs);
  double(wire, 0x19, exemplar.value);
  if (exemplar.spanId !== undefined) {
    wire.byte(0x22);
    wire.hex(exemplar.spanId, 8);
  }
  if (exemplar.traceId !== undefined) {
    wire.byte(0x2a);
    wire.hex(exemplar.traceId, 16);
  }
  attributes.write(0x3a, exemplar.attributes);
  wire.end(start, 1);
}
