import type { AttributeList, ExponentialPoint, HistogramPoint, MetricData, NumberPoint } from "../model.ts";
import { coarser } from "./exponential.ts";

type Point = NumberPoint | HistogramPoint | ExponentialPoint;

/**
 * Turns cumulative collections into deltas: each result says what came since the last one, exemplars included. Gauges, and sums that go both ways, stay as they are.
 * The least and the greatest value of an interval cannot be told apart afterwards and are left out.
 *
 * Keeps the last point of each series, no more than there are series.
 */
export function deltas(): (data: readonly MetricData[]) => MetricData[] {
  let before = new Map<string, Point>();
  return (data) => {
    const now = new Map<string, Point>();
    const result = data.map((metric): MetricData => {
      const since = <P extends Point>(points: readonly P[], minus: (point: P, last: P) => P): P[] =>
        points.map((point) => {
          const key = keyOf(metric, point.attributes);
          const last = before.get(key) as P | undefined;
          now.set(key, point);
          if (last === undefined) return point;
          // An exemplar lies within the time of its point (Metrics SDK, "Exemplar").
          const exemplars = point.exemplars.filter(({ epochMs }) => epochMs > last.epochMs);
          return { ...minus(point, last), startEpochMs: last.epochMs, exemplars };
        });
      if (metric.type === "sum" && metric.monotonic) {
        return {
          ...metric,
          delta: true,
          points: since<NumberPoint>(metric.points, (point, last) => ({ ...point, value: point.value - last.value })),
        };
      }
      if (metric.type === "histogram") return { ...metric, delta: true, points: since(metric.points, histogramSince) };
      if (metric.type === "exponential") {
        return { ...metric, delta: true, points: since(metric.points, exponentialSince) };
      }
      return metric;
    });
    before = now;
    return result;
  };
}

function keyOf({ scope, name }: MetricData, attributes: AttributeList): string {
  return JSON.stringify([scope.name, scope.version, name, attributes]);
}

function histogramSince(point: HistogramPoint, last: HistogramPoint): HistogramPoint {
  return {
    ...point,
    count: point.count - last.count,
    sum: point.sum - last.sum,
    min: undefined,
    max: undefined,
    counts: point.counts.map((count, i) => count - last.counts[i]!),
  };
}

function exponentialSince(point: ExponentialPoint, last: ExponentialPoint): ExponentialPoint {
  const steps = last.scale - point.scale;
  const minus = (side: "positive" | "negative"): ExponentialPoint["positive"] => {
    const { offset, counts } = point[side];
    const earlier = coarser(last[side], steps);
    // What was counted once stays counted: the earlier buckets lie within the later ones.
    return { offset, counts: counts.map((count, i) => count - (earlier.counts[offset + i - earlier.offset] ?? 0)) };
  };
  return {
    ...point,
    count: point.count - last.count,
    sum: point.sum - last.sum,
    min: undefined,
    max: undefined,
    zeroCount: point.zeroCount - last.zeroCount,
    positive: minus("positive"),
    negative: minus("negative"),
  };
}
