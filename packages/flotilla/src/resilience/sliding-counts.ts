import type { Clock } from "../clock/clock.ts";

const SLOTS = 10;

/** How much of something there was in the window that ends now; the window moves on in tenths. Adding and asking take constant time. */
export class SlidingCounts {
  readonly #clock: Clock;
  readonly #slotMs: number;
  readonly #slots = new Float64Array(SLOTS);
  #slot: number;
  #total = 0;

  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock;
    this.#slotMs = windowMs / SLOTS;
    this.#slot = Math.floor(clock.now() / this.#slotMs);
  }

  add(n: number): void {
    this.#turn();
    this.#slots[this.#slot % SLOTS]! += n;
    this.#total += n;
  }

  get total(): number {
    this.#turn();
    return this.#total;
  }

  /** Empties the slots that time has passed over. */
  #turn(): void {
    const slot = Math.floor(this.#clock.now() / this.#slotMs);
    if (slot === this.#slot) return;
    const steps = Math.min(SLOTS, slot - this.#slot);
    for (let i = 1; i <= steps; i++) {
      const index = (this.#slot + i) % SLOTS;
      this.#total -= this.#slots[index]!;
      this.#slots[index] = 0;
    }
    this.#slot = slot;
  }
}
