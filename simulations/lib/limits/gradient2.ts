import type { LimitFactory } from "flotilla/resilience";
import { type Window, Windowed } from "./windowed.ts";

const LONG = 600;
const WARMUP = 10;

class Gradient2 extends Windowed {
  #longMs = 0;
  #windows = 0;

  constructor() {
    super({ initial: 20, min: 1, max: 1000 });
  }

  protected next({ meanMs, mostFound }: Window): number {
    const { limit } = this;
    this.#windows++;
    if (this.#windows <= WARMUP) this.#longMs += (meanMs - this.#longMs) / this.#windows;
    else this.#longMs += (meanMs - this.#longMs) * (2 / (LONG + 1));
    const longMs = this.#longMs;
    if (longMs / meanMs > 2) this.#longMs *= 0.9;
    if (mostFound < limit / 2) return limit;
    const gradient = Math.max(0.5, Math.min(1, longMs / meanMs));
    return limit * 0.8 + (limit * gradient + 4) * 0.2;
  }
}

/**
 * `limit = 0.8 limit + 0.2 (limit · clamp(long / short, 0.5, 1) + 4)`, short being the mean of a window and long that of 600
 * windows. As `Gradient2Limit` of Netflix's concurrency-limits with its defaults, but from 1 to 1000 instead of from 20 to 200:
 * a floor of 20 protects no process of one thread.
 */
export const gradient2: LimitFactory = () => new Gradient2();
