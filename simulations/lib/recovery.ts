import type { Interval } from "flotilla/sim";

/**
 * Intervals after `from` until all is well for good: from then on, of what began within any `span` intervals at least 95 % was
 * served. Infinity when it is not by the end.
 */
export function recovery(intervals: readonly Interval[], from: number, span: number): number {
  let well = Infinity;
  for (let start = intervals.length - span; start >= from; start--) {
    let began = 0;
    let ok = 0;
    for (let i = start; i < start + span; i++) {
      began += intervals[i]?.began ?? 0;
      ok += intervals[i]?.ok ?? 0;
    }
    if (ok < 0.95 * began) break;
    well = start - from;
  }
  return well;
}
