import type { Clock } from "../clock/clock.ts";
import { systemClock } from "../clock/system-clock.ts";
import { SlidingCounts } from "./sliding-counts.ts";

/** Options of {@link RetryBudget}. */
export interface RetryBudgetOptions {
  /** Retries that each request earns. 0 to 1. Default 0.2. */
  readonly ratio?: number;
  /** So many retries in 10 s are allowed however few the requests, so that a quiet client can retry at all. 0 or more. Default 10. */
  readonly floor?: number;
  /** What is earned is kept for so long, milliseconds, above 0: so much may be retried at once. Default 1000. */
  readonly windowMs?: number;
  readonly clock?: Clock;
}

/** The time that the floor is for, milliseconds. */
const FLOOR_MS = 10_000;

/**
 * Bounds the retries a client adds to its traffic: whatever fails, the load on the target stays within 1 + `ratio` of the
 * requests. Share one between all that call the same target.
 *
 * Algorithm: a token bucket filled by requests, after gRPC's retry throttling (proposal A6), that holds what the requests of the
 * window have earned. Counting retries over a window, as Finagle's RetryBudget does, bounds the mean only: what was spent in one
 * second is forgotten in one second, so that a failure which lasts gets its retries all at once, again and again.
 */
export class RetryBudget {
  /** What it is measured on. */
  readonly clock: Clock;
  readonly #ratio: number;
  readonly #floor: number;
  readonly #requests: SlidingCounts;
  #saved: number;
  // What has been earned since it was last looked at.
  #earning = 0;
  #sinceMs: number;

  /** @throws RangeError when an option is not legal, naming it. */
  constructor(options: RetryBudgetOptions = {}) {
    const { ratio = 0.2, floor = 10, windowMs = 1000, clock = systemClock } = options;
    if (!(ratio >= 0 && ratio <= 1)) throw new RangeError(`RetryBudget: ratio must be from 0 to 1, got ${ratio}`);
    if (!(floor >= 0)) throw new RangeError(`RetryBudget: floor must be 0 or more, got ${floor}`);
    if (!(windowMs > 0)) throw new RangeError(`RetryBudget: windowMs must be above 0, got ${windowMs}`);
    this.clock = clock;
    this.#ratio = ratio;
    this.#floor = floor;
    const nowMs = clock.now();
    this.#requests = new SlidingCounts(windowMs, nowMs);
    this.#saved = floor;
    this.#sinceMs = nowMs;
  }

  /**
   * Counts a request (not a retry).
   *
   * @param nowMs - a reading of its clock, where one is at hand.
   */
  deposit(nowMs: number = this.clock.now()): void {
    this.#requests.add(1, nowMs);
    this.#earning++;
  }

  /** Takes one retry out of the budget; false when it is used up. */
  withdraw(): boolean {
    if (this.balance < 1) return false;
    this.#saved--;
    return true;
  }

  /** Retries left now. */
  get balance(): number {
    const nowMs = this.clock.now();
    // The floor is instead of what requests earn, not on top of it.
    const earned = Math.max(this.#earning * this.#ratio, ((nowMs - this.#sinceMs) * this.#floor) / FLOOR_MS);
    const most = Math.max(this.#floor, this.#requests.total(nowMs) * this.#ratio);
    this.#saved = Math.min(this.#saved + earned, most);
    this.#earning = 0;
    this.#sinceMs = nowMs;
    return this.#saved;
  }
}
