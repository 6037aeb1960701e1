import type { LimitFactory } from "flotilla/resilience";
import { type Window, Windowed } from "./windowed.ts";

const log10 = (limit: number): number => Math.max(1, Math.floor(Math.log10(limit)));

class Vegas extends Windowed {
  readonly #random: () => number;
  #unloaded = 0;
  #windows = 0;
  #probeAfter: number;

  constructor(random: () => number) {
    super({ initial: 20, min: 1, max: 1000 });
    this.#random = random;
    this.#probeAfter = 0.5 + random() / 2;
  }

  protected next({ meanMs, mostFound, dropped }: Window): number {
    const { limit } = this;
    this.#windows++;
    if (this.#windows >= this.#probeAfter * 30 * limit) {
      this.#windows = 0;
      this.#probeAfter = 0.5 + this.#random() / 2;
      this.#unloaded = meanMs;
      return limit;
    }
    if (this.#unloaded === 0 || meanMs < this.#unloaded) {
      this.#unloaded = meanMs;
      return limit;
    }
    const step = log10(limit);
    if (dropped) return limit - step;
    if (mostFound * 2 < limit) return limit;
    const queue = Math.ceil(limit * (1 - this.#unloaded / meanMs));
    if (queue <= step) return limit + 6 * step;
    if (queue < 3 * step) return limit + step;
    if (queue > 6 * step) return limit - step;
    return limit;
  }
}

/**
 * After TCP Vegas (Brakmo and Peterson, 1995): `queue = limit (1 - unloaded / latency)`; the limit rises while the queue is below
 * 3, falls when it is above 6. As `VegasLimit` of Netflix's concurrency-limits, with its defaults: unloaded is the least mean of a
 * window, measured anew after 15 to 30 times `limit` windows.
 */
export const vegas =
  (random: () => number): LimitFactory =>
  () =>
    new Vegas(random);
