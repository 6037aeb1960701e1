const SLOTS = 10;

/** How much of something there was in the window that ends now; the window moves on in tenths. Adding and asking take constant time. */
export class SlidingCounts {
  readonly #slotMs: number;
  readonly #slots = new Float64Array(SLOTS);
  #slot: number;
  #total = 0;

  constructor(windowMs: number, nowMs: number) {
    this.#slotMs = windowMs / SLOTS;
    this.#slot = Math.floor(nowMs / this.#slotMs);
  }

  add(n: number, nowMs: number): void {
    this.#turn(nowMs);
    this.#slots[this.#slot % SLOTS]! += n;
    this.#total += n;
  }

  total(nowMs: number): number {
    this.#turn(nowMs);
    return this.#total;
  }

  /** Empties the slots that time has passed over. */
  #turn(nowMs: number): void {
    const slot = Math.floor(nowMs / this.#slotMs);
    if (slot <= this.#slot) return;
    const steps = Math.min(SLOTS, slot - this.#slot);
    for (let i = 1; i <= steps; i++) {
      const index = (this.#slot + i) % SLOTS;
      this.#total -= this.#slots[index]!;
      this.#slots[index] = 0;
    }
    this.#slot = slot;
  }
}
