import type { Clock } from "../../clock/clock.ts";
import type { Exemplar } from "../model.ts";
import { bucketOfHalves } from "./exponential.ts";

/** A span, as far as an exemplar names it. */
export interface ExemplarSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** 1: sampled. Others make no exemplar, since nobody could look them up. */
  readonly traceFlags: number;
}

/** Room for exemplars. Made when the first one comes, and filled without allocating. */
class Slots {
  readonly #values: Float64Array;
  readonly #epochsMs: Float64Array;
  readonly #traceIds: string[];
  readonly #spanIds: string[];

  constructor(size: number) {
    this.#values = new Float64Array(size);
    this.#epochsMs = new Float64Array(size);
    this.#traceIds = Array.from({ length: size }, () => "");
    this.#spanIds = Array.from({ length: size }, () => "");
  }

  put(slot: number, value: number, epochMs: number, { traceId, spanId }: ExemplarSpan): void {
    this.#values[slot] = value;
    this.#epochsMs[slot] = epochMs;
    this.#traceIds[slot] = traceId;
    this.#spanIds[slot] = spanId;
  }

  list(): readonly Exemplar[] {
    const exemplars: Exemplar[] = [];
    for (const [slot, traceId] of this.#traceIds.entries()) {
      if (traceId === "") continue;
      const [value, epochMs, spanId] = [this.#values[slot]!, this.#epochsMs[slot]!, this.#spanIds[slot]!];
      exemplars.push({ value, epochMs, traceId, spanId, attributes: [] });
    }
    return exemplars;
  }
}

const NONE: readonly Exemplar[] = [];

/**
 * One exemplar a bucket: the first measurement of a sampled trace since the last collection. Keeping the first and not the last means that
 * nearly every measurement costs one comparison. In one bucket they are ever newer, as Prometheus demands, and the rare slow measurement has
 * its own (OpenTelemetry, Metrics SDK, "AlignedHistogramBucketExemplarReservoir").
 */
export class BucketExemplars {
  readonly #clock: Clock;
  /** Those collected already give way to the next. */
  readonly #fresh: boolean[];
  #slots: Slots | undefined;

  constructor(buckets: number, clock: Clock) {
    this.#clock = clock;
    this.#fresh = Array.from({ length: buckets }, () => false);
  }

  offer(bucket: number, value: number, span: ExemplarSpan): void {
    if (this.#fresh[bucket] || (span.traceFlags & 1) === 0) return;
    this.#fresh[bucket] = true;
    this.#slots ??= new Slots(this.#fresh.length);
    this.#slots.put(bucket, value, this.#clock.epoch(), span);
  }

  collect(): readonly Exemplar[] {
    this.#fresh.fill(false);
    return this.#slots?.list() ?? NONE;
  }
}

/** Exemplars of one exponential histogram. */
const RANGES = 20;

/**
 * Those of an exponential histogram, whose own buckets change: one for each range of half a power of two, of twenty ranges that follow
 * each other; those that lie farther apart share. A choice by chance among all, which OpenTelemetry has as its default, would nearly never have a slow one.
 */
export class RangeExemplars {
  readonly #ranges: BucketExemplars;

  constructor(clock: Clock) {
    this.#ranges = new BucketExemplars(RANGES, clock);
  }

  offer(value: number, span: ExemplarSpan): void {
    if ((span.traceFlags & 1) === 0) return;
    const range = (bucketOfHalves(value) + 1) % RANGES;
    this.#ranges.offer(range < 0 ? range + RANGES : range, value, span);
  }

  collect(): readonly Exemplar[] {
    return this.#ranges.collect();
  }
}
