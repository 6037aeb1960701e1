import type { ExponentialBuckets } from "../model.ts";

/** OpenTelemetry's defaults (Metrics SDK, "Base2 Exponential Bucket Histogram Aggregation"). */
const MAX_BUCKETS = 160;
const MAX_SCALE = 20;
const MIN_SCALE = -10;

const SMALLEST_NORMAL = 2 ** -1022;
/** The magnitude that is being recorded: a parameter would be allocated where the call is not inlined. */
const measured = new Float64Array(1);
const floats = new Float64Array(1);
// In two halves: a BigInt of the whole would be allocated for each measurement.
const words = new Uint32Array(floats.buffer);
floats[0] = 1;
/** Where sign and exponent are. */
const HIGH = words[1] === 0 ? 0 : 1;
const LOW = 1 - HIGH;

/** The buckets of one sign, which grow to either side. */
class Buckets {
  offset = 0;
  counts: number[] = [];

  add(index: number, count: number): void {
    const { counts } = this;
    if (counts.length === 0) this.offset = index;
    if (index < this.offset) {
      counts.unshift(...Array.from({ length: this.offset - index }, () => 0));
      this.offset = index;
    }
    while (counts.length <= index - this.offset) counts.push(0);
    counts[index - this.offset]! += count;
  }

  /** How many buckets there would be with this one. */
  spanWith(index: number): number {
    if (this.counts.length === 0) return 1;
    return Math.max(this.offset + this.counts.length - 1, index) - Math.min(this.offset, index) + 1;
  }

  /** Joins each 2^steps neighbours: bucket `i` becomes bucket `i >> steps`, exactly. */
  downscale(steps: number): void {
    const { offset, counts } = this;
    this.counts = [];
    for (const [i, count] of counts.entries()) if (count > 0) this.add((offset + i) >> steps, count);
  }
}

/**
 * An exponential histogram: buckets whose bounds grow by `2^(2^-scale)`, as fine as 160 buckets allow for the values seen. When the range
 * grows the scale falls, and neighbours are joined without any loss.
 *
 * Source: OpenTelemetry, Metrics Data Model, "ExponentialHistogram".
 */
export class ExponentialHistogram {
  scale = MAX_SCALE;
  count = 0;
  sum = 0;
  min = Infinity;
  max = -Infinity;
  zeroCount = 0;
  readonly #positive = new Buckets();
  readonly #negative = new Buckets();
  #factor = 2 ** MAX_SCALE * Math.LOG2E;

  /** @param value - finite. */
  record(value: number): void {
    this.count++;
    this.sum += value;
    if (value < this.min) this.min = value;
    if (value > this.max) this.max = value;
    if (value === 0) {
      this.zeroCount++;
      return;
    }
    const buckets = value > 0 ? this.#positive : this.#negative;
    measured[0] = Math.abs(value);
    let index = this.#index();
    if (buckets.spanWith(index) > MAX_BUCKETS) {
      let steps = 0;
      const first = Math.min(buckets.offset, index);
      const last = Math.max(buckets.offset + buckets.counts.length - 1, index);
      while ((last >> steps) - (first >> steps) >= MAX_BUCKETS) steps++;
      this.downscale(Math.min(steps, this.scale - MIN_SCALE));
      index = this.#index();
    }
    buckets.add(index, 1);
  }

  /** Makes the buckets coarser, both signs alike. */
  downscale(steps: number): void {
    if (steps <= 0) return;
    this.scale -= steps;
    this.#factor = 2 ** this.scale * Math.LOG2E;
    this.#positive.downscale(steps);
    this.#negative.downscale(steps);
  }

  get positive(): ExponentialBuckets {
    return { offset: this.#positive.offset, counts: this.#positive.counts.slice() };
  }

  get negative(): ExponentialBuckets {
    return { offset: this.#negative.offset, counts: this.#negative.counts.slice() };
  }

  /** The bucket of what is measured: bounds are exclusive below and inclusive above, so exact powers belong to the bucket below. */
  #index(): number {
    const { scale } = this;
    const magnitude = measured[0]!;
    // What is too small for the normal form is brought into it: exact, for a power of two.
    const lift = magnitude < SMALLEST_NORMAL ? 52 : 0;
    floats[0] = magnitude * 2 ** lift;
    const high = words[HIGH]!;
    const exponent = ((high >>> 20) & 0x7ff) - 1023 - lift;
    const isPower = (high & 0xfffff) === 0 && words[LOW] === 0;
    if (scale <= 0) return (isPower ? exponent - 1 : exponent) >> -scale;
    if (isPower) return exponent * 2 ** scale - 1;
    // Rounding may give a neighbour next to a bound of the octave; never one of another octave.
    const index = Math.ceil(Math.log(magnitude) * this.#factor) - 1;
    const lowest = exponent * 2 ** scale;
    return Math.min(Math.max(index, lowest), lowest + 2 ** scale - 1);
  }
}

// The mantissa of the square root of two.
const ROOT_HIGH = 0x6a09e;
const ROOT_LOW = 0x667f3bcd;

/**
 * The bucket of a value at scale 1, whose bounds are half a power of two apart, from its bits: without a logarithm. The sign does not count;
 * what is too small for the normal form is in one bucket.
 */
export function bucketOfHalves(value: number): number {
  floats[0] = value;
  const high = words[HIGH]!;
  const low = words[LOW]!;
  const mantissa = high & 0xfffff;
  const below = 2 * (((high >>> 20) & 0x7ff) - 1023);
  if (mantissa === 0 && low === 0) return below - 1;
  return mantissa > ROOT_HIGH || (mantissa === ROOT_HIGH && low > ROOT_LOW) ? below + 1 : below;
}

/** The lower and upper bound of a bucket. */
export function boundsOf(index: number, scale: number): readonly [lower: number, upper: number] {
  const base = 2 ** -scale;
  return [2 ** (index * base), 2 ** ((index + 1) * base)];
}

/** Buckets at a coarser scale. */
export function coarser({ offset, counts }: ExponentialBuckets, steps: number): ExponentialBuckets {
  if (steps === 0) return { offset, counts };
  const buckets = new Buckets();
  for (const [i, count] of counts.entries()) if (count > 0) buckets.add((offset + i) >> steps, count);
  return { offset: buckets.offset, counts: buckets.counts };
}
