/** Reports from which the quantile is told. */
const KEPT = 128;
/** Calls in flight are told apart up to this many, those above count as that many. */
const LEVELS = 1024;

/**
 * A quantile of the calls in flight that the last reports told of, kept up to date in constant time.
 *
 * The last reports are counted by level; the level of the quantile moves by as many as it takes when one report comes and the oldest
 * goes: usually none.
 */
export class Heat {
  readonly #quantile: number;
  readonly #last = new Uint16Array(KEPT);
  readonly #counts = new Uint16Array(LEVELS);
  #n = 0;
  #at = 0;
  #limit = 0;
  /** Reports at or below the limit. */
  #within = 0;

  /** @param quantile - 0 to 1. */
  constructor(quantile: number) {
    this.#quantile = quantile;
  }

  /** Who has more in flight is hot. */
  get limit(): number {
    return this.#limit;
  }

  record(inFlight: number): void {
    const level = Math.min(LEVELS - 1, Math.floor(inFlight));
    if (this.#n === KEPT) this.#count(this.#last[this.#at]!, -1);
    else this.#n++;
    this.#last[this.#at] = level;
    this.#at = (this.#at + 1) % KEPT;
    this.#count(level, 1);
    const rank = Math.min(this.#n - 1, Math.floor(this.#quantile * this.#n));
    while (this.#within <= rank) this.#within += this.#counts[++this.#limit]!;
    while (this.#within - this.#counts[this.#limit]! > rank) this.#within -= this.#counts[this.#limit--]!;
  }

  #count(level: number, by: number): void {
    this.#counts[level]! += by;
    if (level <= this.#limit) this.#within += by;
  }
}
