import type { Attributes } from "@opentelemetry/api";
import type { Clock } from "../../clock/clock.ts";
import type { AttributeList, ExponentialPoint, HistogramPoint, NumberPoint } from "../model.ts";
import { type AttributeSet, attributeSet, OVERFLOW } from "./attribute-set.ts";
import { BucketExemplars, type ExemplarSpan, RangeExemplars } from "./exemplars.ts";
import { ExponentialHistogram } from "./exponential.ts";

/** What all instruments of one provider share. */
export interface MetricsShared {
  readonly clock: Clock;
  /** Series of one instrument, the one for all others included. */
  readonly maxSeries: number;
  /** Of the provider, milliseconds since the epoch: when the counts began. */
  readonly startEpochMs: number;
  readonly counts: { overflowed: number; invalid: number; failedCallbacks: number };
}

/** The series of one instrument, by attributes. */
export class SeriesMap<S> {
  readonly #make: (attributes: AttributeList) => S;
  readonly #shared: MetricsShared;
  readonly #series = new Map<string, S>();

  constructor(shared: MetricsShared, make: (attributes: AttributeList) => S) {
    this.#shared = shared;
    this.#make = make;
  }

  /** The series of these attributes; once there are too many, the one that counts for all others. */
  of(attributes: Attributes | undefined): S {
    return this.#find(attributeSet(attributes));
  }

  #find(set: AttributeSet): S {
    let series = this.#series.get(set.key);
    if (series !== undefined) return series;
    // One place is kept for what overflows.
    if (this.#series.size >= this.#shared.maxSeries - 1 && set !== OVERFLOW) {
      this.#shared.counts.overflowed++;
      return this.#find(OVERFLOW);
    }
    series = this.#make(set.list);
    this.#series.set(set.key, series);
    return series;
  }

  values(): IterableIterator<S> {
    return this.#series.values();
  }

  clear(): void {
    this.#series.clear();
  }
}

/** A number that is added to, or set. */
export class NumberSeries {
  value = 0;
  readonly #attributes: AttributeList;
  readonly #shared: MetricsShared;
  readonly #integer: boolean;
  readonly #monotonic: boolean;

  constructor(attributes: AttributeList, shared: MetricsShared, integer: boolean, monotonic: boolean) {
    this.#attributes = attributes;
    this.#shared = shared;
    this.#integer = integer;
    this.#monotonic = monotonic;
  }

  /** @param n - what is no finite number, or negative where the sum only grows, is counted as invalid and ignored. */
  add(n: number): void {
    if (Number.isFinite(n) && !(this.#monotonic && n < 0)) this.value += n;
    else this.#shared.counts.invalid++;
  }

  set(n: number): void {
    if (Number.isFinite(n)) this.value = n;
    else this.#shared.counts.invalid++;
  }

  point(epochMs: number): NumberPoint {
    const { startEpochMs } = this.#shared;
    const integer = this.#integer && Number.isSafeInteger(this.value);
    return { attributes: this.#attributes, startEpochMs, epochMs, value: this.value, integer, exemplars: [] };
  }
}

/** A histogram with explicit bounds. */
export class HistogramSeries {
  readonly #attributes: AttributeList;
  readonly #shared: MetricsShared;
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  readonly #exemplars: BucketExemplars;
  #count = 0;
  #sum = 0;
  #min = Infinity;
  #max = -Infinity;

  /** @param bounds - upper bounds, inclusive, ascending. */
  constructor(attributes: AttributeList, shared: MetricsShared, bounds: readonly number[]) {
    this.#attributes = attributes;
    this.#shared = shared;
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
    this.#exemplars = new BucketExemplars(bounds.length + 1, shared.clock);
  }

  /**
   * Counts a measurement. Allocates nothing.
   *
   * @param span - what the measurement belongs to: one of a sampled trace may become an exemplar.
   */
  record(value: number, span?: ExemplarSpan): void {
    if (!Number.isFinite(value)) {
      this.#shared.counts.invalid++;
      return;
    }
    const bounds = this.#bounds;
    let bucket = 0;
    // Few bounds, and most measurements are small: quicker than halving.
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++;
    this.#counts[bucket]!++;
    this.#count++;
    this.#sum += value;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
    if (span !== undefined) this.#exemplars.offer(bucket, value, span);
  }

  get count(): number {
    return this.#count;
  }

  point(epochMs: number): HistogramPoint {
    const some = this.#count > 0;
    return {
      attributes: this.#attributes,
      startEpochMs: this.#shared.startEpochMs,
      epochMs,
      count: this.#count,
      sum: this.#sum,
      min: some ? this.#min : undefined,
      max: some ? this.#max : undefined,
      bounds: this.#bounds,
      counts: Array.from(this.#counts),
      exemplars: this.#exemplars.collect(),
    };
  }
}

/** A histogram whose bounds adapt to what is measured. */
export class ExponentialSeries {
  readonly #attributes: AttributeList;
  readonly #shared: MetricsShared;
  readonly #histogram = new ExponentialHistogram();
  readonly #exemplars: RangeExemplars;

  constructor(attributes: AttributeList, shared: MetricsShared) {
    this.#attributes = attributes;
    this.#shared = shared;
    this.#exemplars = new RangeExemplars(shared.clock);
  }

  /**
   * Counts a measurement. Allocates nothing, but when its range grows.
   *
   * @param span - what the measurement belongs to: one of a sampled trace may become an exemplar.
   */
  record(value: number, span?: ExemplarSpan): void {
    if (!Number.isFinite(value)) {
      this.#shared.counts.invalid++;
      return;
    }
    this.#histogram.record(value);
    if (span !== undefined) this.#exemplars.offer(value, span);
  }

  get count(): number {
    return this.#histogram.count;
  }

  point(epochMs: number): ExponentialPoint {
    const { count, sum, min, max, scale, zeroCount, positive, negative } = this.#histogram;
    const some = count > 0;
    return {
      attributes: this.#attributes,
      startEpochMs: this.#shared.startEpochMs,
      epochMs,
      count,
      sum,
      min: some ? min : undefined,
      max: some ? max : undefined,
      scale,
      zeroCount,
      zeroThreshold: 0,
      positive,
      negative,
      exemplars: this.#exemplars.collect(),
    };
  }
}
