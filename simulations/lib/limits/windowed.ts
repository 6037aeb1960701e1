import type { Kind, Limit } from "flotilla/resilience";

/** What a window of calls came to. */
export interface Window {
  readonly meanMs: number;
  /** Of the calls in flight that they found. */
  readonly mostFound: number;
  /** Whether one of them ran out of time. */
  readonly dropped: boolean;
}

/** Options of {@link Windowed}. */
export interface WindowedOptions {
  readonly initial: number;
  readonly min: number;
  readonly max: number;
}

/**
 * A limit that is set once a window: a second, and 10 calls at least.
 *
 * As `WindowedLimit` of Netflix's concurrency-limits puts it around the limits of that library: a window lasts twice as long as
 * its fastest call, but from 1 s to 1 s, and the mean of its calls is what is judged.
 */
export abstract class Windowed implements Limit {
  protected limit: number;
  protected readonly min: number;
  protected readonly max: number;
  #until = 0;
  #count = 0;
  #sumMs = 0;
  #mostFound = 0;
  #dropped = false;

  constructor({ initial, min, max }: WindowedOptions) {
    this.limit = initial;
    this.min = min;
    this.max = max;
  }

  get current(): number {
    return Math.max(1, Math.floor(this.limit));
  }

  kind(): Kind {
    return { inFlight: 0 };
  }

  pressed(): void {}

  ended(nowMs: number, durationMs: number, found: number, _alike: number, _kind: Kind, late: boolean): void {
    this.#count++;
    this.#sumMs += durationMs;
    this.#mostFound = Math.max(this.#mostFound, found);
    this.#dropped ||= late;
    if (nowMs <= this.#until) return;
    this.#until = nowMs + 1000;
    const [count, meanMs] = [this.#count, this.#sumMs / this.#count];
    const window = { meanMs, mostFound: this.#mostFound, dropped: this.#dropped };
    this.#count = this.#sumMs = this.#mostFound = 0;
    this.#dropped = false;
    if (count < 10) return;
    this.limit = Math.max(this.min, Math.min(this.max, this.next(window)));
  }

  /** What the limit is to be after this window. */
  protected abstract next(window: Window): number;
}
