/** Buckets a doubling: a quantile is off by at most a twelfth of itself. */
const perDoubling = 8;
const smallestMs = 0.01;
/** Up to 0.01 ms x 2^26, eleven minutes; what is longer counts as that. */
const buckets = 26 * perDoubling;

/** Counts of durations, bucket by bucket, that can be added, subtracted and sent to another process. */
export type Histogram = number[];

export function createHistogram(): Histogram {
  return Array.from({ length: buckets }, () => 0);
}

/** Counts a duration in milliseconds. */
export function record(histogram: Histogram, ms: number): void {
  const index = ms <= smallestMs ? 0 : Math.min(buckets - 1, Math.floor(Math.log2(ms / smallestMs) * perDoubling));
  histogram[index] = (histogram[index] ?? 0) + 1;
}

/** What was counted in any of the histograms. */
export function sum(histograms: readonly Histogram[]): Histogram {
  const total = createHistogram();
  for (const histogram of histograms) {
    for (let i = 0; i < buckets; i++) total[i] = (total[i] ?? 0) + (histogram[i] ?? 0);
  }
  return total;
}

/** What was counted since an earlier state of the same histogram. */
export function since(now: Histogram, earlier: Histogram): Histogram {
  return now.map((count, i) => count - (earlier[i] ?? 0));
}

export function countOf(histogram: Histogram): number {
  return histogram.reduce((total, count) => total + count, 0);
}

/** The duration, in milliseconds, below which the given share (0 to 1) of all lie; undefined when nothing was counted. */
export function quantile(histogram: Histogram, share: number): number | undefined {
  const total = countOf(histogram);
  if (total === 0) return undefined;
  const rank = Math.max(1, Math.ceil(share * total));
  let seen = 0;
  for (let i = 0; i < buckets; i++) {
    seen += histogram[i] ?? 0;
    // The geometric middle of the bucket.
    if (seen >= rank) return smallestMs * 2 ** ((i + 0.5) / perDoubling);
  }
  return undefined;
}
