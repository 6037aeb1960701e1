import type { Clock, EventLoop, Timer } from "./clock.ts";

const MAX_DELAY_MS = 2 ** 31 - 1;
/** Reading what has arrived may go on for so long, milliseconds, and for as long as the loop did something else before. */
const READING_MS = 3;
// The global is a getter: to ask it each time is a seventh of what a reading costs.
const { performance } = globalThis;

class SystemTimer implements Timer {
  #handle: NodeJS.Timeout;
  #unref = false;
  readonly #due: number;
  readonly #callback: () => void;

  constructor(delayMs: number, callback: () => void) {
    const delay = delayMs > 0 ? delayMs : 0;
    this.#due = performance.now() + delay;
    this.#callback = callback;
    this.#handle = this.#arm(delay);
  }

  #arm(remainingMs: number): NodeJS.Timeout {
    const handle = setTimeout(() => this.#fire(), Math.min(Math.ceil(remainingMs), MAX_DELAY_MS));
    if (this.#unref) handle.unref();
    return handle;
  }

  #fire(): void {
    // A step of a long delay, or up to 1 ms early: the event loop counts in whole milliseconds.
    const remaining = this.#due - performance.now();
    if (remaining > 0) this.#handle = this.#arm(remaining);
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
  readonly loop: EventLoop = new SystemLoop();

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

class SystemLoop implements EventLoop {
  #readMs = performance.now();

  idleMs(): number {
    return performance.eventLoopUtilization().idle;
  }

  whenRound(callback: () => void): void {
    let latestMs = Infinity;
    let { events } = performance.nodeTiming.uvMetricsInfo;
    // The loop accepts one connection a turn, and reads from it in the next: it goes on until a turn has brought nothing.
    const turn = (): void => {
      const nowMs = performance.now();
      if (latestMs === Infinity) latestMs = nowMs + Math.max(READING_MS, nowMs - this.#readMs);
      const before = events;
      ({ events } = performance.nodeTiming.uvMetricsInfo);
      if (events !== before && nowMs < latestMs) return void setImmediate(turn);
      this.#readMs = nowMs;
      callback();
    };
    // Not without reference: a loop with nothing else to do would not come round at all.
    setImmediate(turn);
  }
}

/** The process's own clock: `performance.now`, `Date.now`, `setTimeout`. */
export const systemClock: Clock = new SystemClock();
