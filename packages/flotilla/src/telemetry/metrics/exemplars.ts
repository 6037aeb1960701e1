import type { Clock } from "../../clock/clock.ts";
import { type Random, randomInt } from "../../clock/random.ts";
import type { Exemplar } from "../model.ts";

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
 * nearly every measurement costs one comparison.
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

/**
 * So many exemplars whatever the buckets: of all measurements of sampled traces since the last collection each has the same chance to be kept
 * (OpenTelemetry, Metrics SDK, "SimpleFixedSizeExemplarReservoir"). Those collected already give way to the next.
 *
 * Algorithm L (K.-H. Li, "Reservoir-Sampling Algorithms of Time Complexity O(n(1+log(N/n)))", 1994), which draws how many
 * measurements to let pass: nearly every one costs one comparison.
 */
export class SampledExemplars {
  readonly #size: number;
  readonly #clock: Clock;
  readonly #random: Random;
  /** Measurements since the last collection. */
  #seen = 0;
  /** The measurement that is kept next, once all slots are taken. */
  #next = 0;
  /** Of the numbers that stand for the measurements kept, the greatest. */
  #greatest = 1;
  #slots: Slots | undefined;

  constructor(size: number, clock: Clock, random: Random) {
    this.#size = size;
    this.#clock = clock;
    this.#random = random;
  }

  offer(value: number, span: ExemplarSpan): void {
    if ((span.traceFlags & 1) === 0) return;
    const size = this.#size;
    const seen = this.#seen++;
    if (seen >= size && seen < this.#next) return;
    this.#slots ??= new Slots(size);
    const slot = seen < size ? seen : randomInt(this.#random, size);
    this.#slots.put(slot, value, this.#clock.epoch(), span);
    if (seen >= size - 1) this.#skip(seen);
  }

  #skip(seen: number): void {
    this.#greatest *= Math.exp(Math.log(this.#chance()) / this.#size);
    this.#next = seen + 1 + Math.floor(Math.log(this.#chance()) / Math.log1p(-this.#greatest));
  }

  /** Above 0, so that it has a logarithm. */
  #chance(): number {
    return 1 - this.#random.next();
  }

  collect(): readonly Exemplar[] {
    this.#seen = 0;
    this.#next = 0;
    this.#greatest = 1;
    return this.#slots?.list() ?? NONE;
  }
}
