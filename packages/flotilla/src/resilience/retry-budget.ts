import type { Clock } from "../clock/clock.ts";
import { systemClock } from "../clock/system-clock.ts";
import { SlidingCounts } from "./sliding-counts.ts";

/** Options of {@link RetryBudget}. */
export interface RetryBudgetOptions {
  /** Retries allowed for each request, over the window. 0 to 1. Default 0.2. */
  readonly ratio?: number;
  /** So many retries are allowed in a window however few the requests, so that a quiet client can retry at all. 0 or more. Default 10. */
  readonly floor?: number;
  /** Length of the window, milliseconds, above 0. Default 10000. */
  readonly windowMs?: number;
  readonly clock?: Clock;
}

/**
 * Bounds the retries a client adds to its traffic: whatever fails, the load on the target stays within 1 + `ratio` of the
 * requests. Share one between all that call the same target.
 *
 * Algorithm: requests and retries counted over a sliding window of ten slots, after Finagle's RetryBudget.
 */
export class RetryBudget {
  /** What it is measured on. */
  readonly clock: Clock;
  readonly #ratio: number;
  readonly #floor: number;
  readonly #requests: SlidingCounts;
  readonly #retries: SlidingCounts;

  /** @throws RangeError when an option is not legal, naming it. */
  constructor(options: RetryBudgetOptions = {}) {
    const { ratio = 0.2, floor = 10, windowMs = 10_000, clock = systemClock } = options;
    if (!(ratio >= 0 && ratio <= 1)) throw new RangeError(`RetryBudget: ratio must be from 0 to 1, got ${ratio}`);
    if (!(floor >= 0)) throw new RangeError(`RetryBudget: floor must be 0 or more, got ${floor}`);
    if (!(windowMs > 0)) throw new RangeError(`RetryBudget: windowMs must be above 0, got ${windowMs}`);
    this.clock = clock;
    this.#ratio = ratio;
    this.#floor = floor;
    const nowMs = clock.now();
    this.#requests = new SlidingCounts(windowMs, nowMs);
    this.#retries = new SlidingCounts(windowMs, nowMs);
  }

  /**
   * Counts a request (not a retry).
   *
   * @param nowMs - a reading of its clock, where one is at hand.
   */
  deposit(nowMs: number = this.clock.now()): void {
    this.#requests.add(1, nowMs);
  }

  /** Takes one retry out of the budget; false when it is used up. */
  withdraw(): boolean {
    if (this.balance < 1) return false;
    this.#retries.add(1, this.clock.now());
    return true;
  }

  /** Retries left now. */
  get balance(): number {
    const nowMs = this.clock.now();
    return Math.max(this.#floor, this.#requests.total(nowMs) * this.#ratio) - this.#retries.total(nowMs);
  }
}
