import type { Policy } from "../../endpoint/policy.ts";

/** What a {@link RateLimiter} says to one request for units. */
export interface Decision {
  /** Whether the units were taken. When not, nothing was. */
  readonly allowed: boolean;
  /** Units admitted in a window over time, as the limiter has it. */
  readonly limit: number;
  /** Whole units left to this key now. 0 or more. */
  readonly remaining: number;
  /** Milliseconds until the same request can pass if nobody else takes any; 0 when it was allowed. */
  readonly retryAfterMs: number;
  /** Milliseconds until all that this key took is forgotten; 0 when it has the whole burst. */
  readonly resetMs: number;
}

/**
 * Admits so many units a window to each key. The port of rate limits: {@link gcra}, {@link tokenBucket} and
 * {@link slidingWindow} decide in this process and at once, adapters (`@flotilla/redis`) share a limit between processes.
 */
export interface RateLimiter {
  /** Units admitted in a window, over time. */
  readonly limit: number;
  /** Length of the window, milliseconds. */
  readonly windowMs: number;
  /** Units that can be taken at once after a rest, and so the most that one request may cost. */
  readonly burst: number;
  /**
   * Takes units, or none when there are too few.
   *
   * @param key - whose units: any text, kept as it is, so bound its length.
   * @param cost - units, 0 to `burst`, also fractions. 0 only looks. Default 1.
   * @throws RangeError when `cost` is not legal: above `burst` it could never pass.
   */
  take(key: string, cost?: number): Decision | Promise<Decision>;
  /** What it tells of itself, for metrics and the page `/state`. Default nothing. */
  readonly policies?: readonly Policy[];
}

/** A limiter of this process, which decides at once. */
export interface LocalRateLimiter extends RateLimiter {
  take(key: string, cost?: number): Decision;
  /** Keys that are kept now. */
  readonly size: number;
  /** Keys that were forgotten, for want of room, while they still had units to pay back. */
  readonly forgotten: number;
}

/** @throws RangeError when a request for so many units can never pass. */
export function checkCost(cost: number, burst: number): void {
  if (cost >= 0 && cost <= burst) return;
  throw new RangeError(
    cost > burst
      ? `a cost of ${cost} can never pass: the limiter's burst is ${burst}`
      : `cost must be 0 or more, got ${cost}`,
  );
}

/** So much of a unit may be missing: what rounding can take away from one who comes back when told to. */
export const SLACK = 1e-6;

/** Units that are whole, but for rounding. */
export function wholeUnits(units: number): number {
  return Math.max(0, Math.floor(units + SLACK));
}
