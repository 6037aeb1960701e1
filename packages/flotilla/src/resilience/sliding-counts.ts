import type { Clock } from "../clock/clock.ts";

const SLOTS = 10;

/** How much of something there was in the window that ends now; the window moves on in tenths. Adding and asking take constant time. */
export class SlidingCounts {
  readonly #clock: Clock;
  readonly #slotMs: number;
  /** The slots of the past; that of now is counted apart, so that counting touches one object alone. */
  readonly #slots = new Float64Array(SLOTS);
  #slot: number;
  #endMs: number;
  #current = 0;
  #total = 0;

  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock;
    this.#slotMs = windowMs / SLOTS;
    this.#slot = Math.floor(clock.now() / this.#slotMs);
    this.#endMs = (this.#slot + 1) * this.#slotMs;
  }

  add(n: number): void {
    this.#turn();
    this.#current += n;
    this.#total += n;
  }

  get total(): number {
    this.#turn();
    return this.#total;
  }

  /** Empties the slots that time has passed over. */
  #turn(): void {
    const now = this.#clock.now();
    if (now < this.#endMs) return;
    const slot = Math.floor(now / this.#slotMs);
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
