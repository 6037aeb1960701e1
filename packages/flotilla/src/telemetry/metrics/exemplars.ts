import type { Clock } from "../../clock/clock.ts";
import type { Exemplar } from "../model.ts";

/** A span, as far as an exemplar names it. */
export interface ExemplarSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** 1: sampled. Others make no exemplar, since nobody could look them up. */
  readonly traceFlags: number;
}

/**
 * One exemplar a bucket: the first measurement of a sampled trace since the last collection. Keeping the first and not the last means that
 * nearly every measurement costs one comparison.
 */
export class Exemplars {
  readonly #clock: Clock;
  readonly #kept: (Exemplar | undefined)[];
  /** Those collected already give way to the next. */
  readonly #fresh: boolean[];

  constructor(buckets: number, clock: Clock) {
    this.#clock = clock;
    this.#kept = Array.from({ length: buckets }, () => undefined);
    this.#fresh = Array.from({ length: buckets }, () => false);
  }

  offer(bucket: number, value: number, { traceId, spanId, traceFlags }: ExemplarSpan): void {
    if (this.#fresh[bucket] || (traceFlags & 1) === 0) return;
    this.#fresh[bucket] = true;
    this.#kept[bucket] = { value, epochMs: this.#clock.epoch(), traceId, spanId, attributes: [] };
  }

  collect(): readonly Exemplar[] {
    this.#fresh.fill(false);
    return this.#kept.filter((exemplar) => exemplar !== undefined);
  }
}
