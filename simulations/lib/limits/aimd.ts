import type { LimitFactory } from "flotilla/resilience";
import { type Window, Windowed } from "./windowed.ts";

class Aimd extends Windowed {
  readonly #timeoutMs: number;

  constructor(timeoutMs: number) {
    super({ initial: 20, min: 1, max: 1000 });
    this.#timeoutMs = timeoutMs;
  }

  protected next({ meanMs, mostFound, dropped }: Window): number {
    const { limit } = this;
    if (dropped || meanMs > this.#timeoutMs) return Math.min(limit - 1, Math.floor(limit * 0.9));
    return mostFound * 2 >= limit ? limit + 1 : limit;
  }
}

/**
 * Additive increase, multiplicative decrease: one more while all is well, a tenth less when a call ran out of time or calls take
 * longer than `timeoutMs`. As `AIMDLimit` of Netflix's concurrency-limits; somebody has to know a latency that is too long.
 */
export const aimd =
  (timeoutMs: number): LimitFactory =>
  () =>
    new Aimd(timeoutMs);
