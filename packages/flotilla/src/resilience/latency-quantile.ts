import type { Clock } from "../clock/clock.ts";

/** Buckets a doubling of the value: told to 9 %. */
const PER_DOUBLING = 8;
/** From a 64th of a millisecond to over two days. */
const BUCKETS = 34 * PER_DOUBLING;
const SMALLEST = 1 / 64;

/**
 * A quantile of what was measured lately, in bounded memory: every `refreshMs` it is worked out anew and what is older counts
 * half, so that it follows a change within a few refreshes.
 */
export class LatencyQuantile {
  readonly #clock: Clock;
  readonly #q: number;
  readonly #minCount: number;
  readonly #refreshMs: number;
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #refreshAtMs: number;
  #valueMs: number | undefined;

  constructor(clock: Clock, q: number, minCount: number, refreshMs: number) {
    this.#clock = clock;
    this.#q = q;
    this.#minCount = minCount;
    this.#refreshMs = refreshMs;
    this.#refreshAtMs = clock.now();
  }

  record(ms: number): void {
    const bucket = ms <= SMALLEST ? 0 : Math.min(BUCKETS - 1, Math.floor(Math.log2(ms / SMALLEST) * PER_DOUBLING) + 1);
    this.#counts[bucket]!++;
    this.#count++;
  }

  /** The upper bound of the bucket it falls into, milliseconds; undefined until enough was measured. */
  get valueMs(): number | undefined {
    const now = this.#clock.now();
    if (now >= this.#refreshAtMs && this.#count >= this.#minCount) {
      this.#refreshAtMs = now + this.#refreshMs;
      this.#refresh();
    }
    return this.#valueMs;
  }

  #refresh(): void {
    let left = this.#q * this.#count;
    let found = false;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const count = this.#counts[bucket]!;
      left -= count;
      if (left <= 0 && !found) {
        found = true;
        this.#valueMs = SMALLEST * 2 ** (bucket / PER_DOUBLING);
      }
      this.#counts[bucket] = count / 2;
    }
    this.#count /= 2;
  }
}
