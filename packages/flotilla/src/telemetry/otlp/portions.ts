import type { LogData, MetricData, SpanData } from "../model.ts";

/** Spans, log records or points that are encoded in one go: under a millisecond. */
const MAX_ITEMS = 512;

type Item = SpanData | MetricData | LogData;

const isMetric = (item: Item): item is MetricData => "points" in item;

/** What counts: spans, log records, points of metrics. */
export function countOf(items: readonly Item[]): number {
  let count = 0;
  for (const item of items) count += isMetric(item) ? item.points.length : 1;
  return count;
}

/** Splits a batch so that encoding one part does not hold up the event loop; a metric of many points is split, too. */
export function* portions<T extends Item>(batch: readonly T[]): Generator<readonly T[]> {
  const [first] = batch;
  if (first === undefined) return;
  if (!isMetric(first)) {
    if (batch.length <= MAX_ITEMS) yield batch;
    else for (let i = 0; i < batch.length; i += MAX_ITEMS) yield batch.slice(i, i + MAX_ITEMS);
    return;
  }
  let part: MetricData[] = [];
  let room = MAX_ITEMS;
  for (const metric of batch as readonly MetricData[]) {
    for (let from = 0; from < metric.points.length; ) {
      const taken = Math.min(room, metric.points.length - from);
      const points = metric.points.slice(from, from + taken);
      part.push((taken === metric.points.length ? metric : { ...metric, points }) as MetricData);
      from += taken;
      room -= taken;
      if (room === 0) {
        yield part as readonly Item[] as readonly T[];
        part = [];
        room = MAX_ITEMS;
      }
    }
  }
  if (part.length > 0) yield part as readonly Item[] as readonly T[];
}
