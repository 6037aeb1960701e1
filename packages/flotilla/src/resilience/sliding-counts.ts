const SLOTS = 10;

/** How much of something there was in the window that ends now; the window moves on in tenths. Adding and asking take constant time. */
export class SlidingCounts {
  readonly #slotMs: number;
  /** The slots of the past; that of now is counted apart, so that counting touches one object alone. */
  readonly #slots = new Float64Array(SLOTS);
  #slot: number;
  #endMs: number;
  #current = 0;
  #total = 0;

  constructor(windowMs: number, nowMs: number) {
    this.#slotMs = windowMs / SLOTS;
    this.#slot = Math.floor(nowMs / this.#slotMs);
    this.#endMs = (this.#slot + 1) * this.#slotMs;
  }

  add(n: number, nowMs: number): void {
    this.#turn(nowMs);
    this.#current += n;
    this.#total += n;
  }

  total(nowMs: number): number {
    this.#turn(nowMs);
    return this.#total;
  }

  /** Empties the slots that time has passed over. */
  #turn(nowMs: number): void {
    if (nowMs < this.#endMs) return;
    const slot = Math.floor(nowMs / this.#slotMs);
    this.#endMs = (slot + 1) * this.#slotMs;
    this.#slots[this.#slot % SLOTS]! += this.#current;
    this.#current = 0;
    const steps = Math.min(SLOTS, slot - this.#slot);
    for (let i = 1; i <= steps; i++) {
      const index = (this.#slot + i) % SLOTS;
      this.#total -= this.#slots[index]!;
      this.#slots[index] = 0;
    }
    this.#slot = slot;
  }
}
