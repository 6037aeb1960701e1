import type { Clock, Timer } from "./clock.ts";

const MAX_DELAY_MS = 2 ** 31 - 1;

class SystemTimer implements Timer {
  #handle: NodeJS.Timeout;
  #remainingMs: number;
  #unref = false;
  readonly #callback: () => void;

  constructor(delayMs: number, callback: () => void) {
    this.#callback = callback;
    this.#remainingMs = Math.max(0, delayMs);
    this.#handle = this.#arm();
  }

  #arm(): NodeJS.Timeout {
    const step = Math.min(this.#remainingMs, MAX_DELAY_MS);
    this.#remainingMs -= step;
    const handle = setTimeout(() => this.#fire(), step);
    if (this.#unref) handle.unref();
    return handle;
  }

  #fire(): void {
    if (this.#remainingMs > 0) this.#handle = this.#arm();
    else this.#callback();
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }

  unref(): void {
    this.#unref = true;
    this.#handle.unref();
  }
}

class SystemClock implements Clock {
  now(): number {
    return performance.now();
  }

  epoch(): number {
    return Date.now();
  }

  schedule(delayMs: number, callback: () => void): Timer {
    return new SystemTimer(delayMs, callback);
  }
}

/** The process's own clock: `performance.now`, `Date.now`, `setTimeout`. */
export const systemClock: Clock = new SystemClock();
