/** Buckets a doubling, as those of an exponential histogram of this scale: a quantile is off by at most a twelfth of itself. */
const scale = 3;
const perDoubling = 2 ** scale;
/** 2^-17 seconds: a bound of theirs, too. */
const smallestMs = 1000 * 2 ** -17;
/** Up to 2^9 seconds, eight minutes; what is longer counts as that. */
const buckets = 26 * perDoubling;

/** Counts of durations, bucket by bucket, that can be added, subtracted and sent to another process. */
export type Histogram = number[];

/** An exponential histogram, as OpenTelemetry has it. */
interface Exponential {
  readonly scale: number;
  readonly zeroCount: number;
  readonly positive: { readonly offset: number; readonly counts: readonly number[] };
}

export function createHistogram(): Histogram {
  return Array.from({ length: buckets }, () => 0);
}

/** Counts a duration in milliseconds. */
export function record(histogram: Histogram, ms: number): void {
  const index = ms <= smallestMs ? 0 : Math.min(buckets - 1, Math.floor(Math.log2(ms / smallestMs) * perDoubling));
  histogram[index] = (histogram[index] ?? 0) + 1;
}

/** Counts what an exponential histogram of seconds has counted. */
export function addExponential(histogram: Histogram, { scale: theirs, zeroCount, positive }: Exponential): void {
  histogram[0] = (histogram[0] ?? 0) + zeroCount;
  for (const [i, count] of positive.counts.entries()) {
    // The middle of a bucket of theirs lies in the one of ours that holds it, or that it holds.
    const exponent = (positive.offset + i + 0.5) * 2 ** -theirs;
    const index = Math.min(buckets - 1, Math.max(0, Math.floor((exponent + 17) * perDoubling)));
    histogram[index] = (histogram[index] ?? 0) + count;
  }
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
