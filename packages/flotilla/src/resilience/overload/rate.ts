/** Events that the rate is told from. */
const KEPT = 16;

/** How often something has happened lately, by the times of its last few events. */
export class Rate {
  readonly #ring = new Float64Array(KEPT).fill(-Infinity);
  #at = 0;

  add(nowMs: number): void {
    this.#ring[this.#at] = nowMs;
    this.#at = (this.#at + 1) % KEPT;
  }

  /** Events a millisecond; Infinity before there were enough of them. */
  perMs(nowMs: number): number {
    const sinceMs = nowMs - this.#ring[this.#at]!;
    return sinceMs > 0 && sinceMs < Infinity ? KEPT / sinceMs : Infinity;
  }
}
