import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";

/** What a limiter admits: `limit` units in each `windowMs`, or `perSecond`, which is short for a window of a second. */
export interface RateLimiterOptions {
  /** Units admitted in a window, over time. Above 0. Either this or `perSecond` must be given. */
  readonly limit?: number;
  /** Length of the window, milliseconds, above 0. Default 1000. */
  readonly windowMs?: number;
  /** Units admitted in a second, over time. Above 0. */
  readonly perSecond?: number;
  /**
   * Units that may be taken at once after a rest; never more than this and what the time admits pass in any interval.
   * 1 or more. Default: `limit`, at least 1. Sliding windows have none of their own.
   */
  readonly burst?: number;
  /** Keys that are kept at the same time. 1 or more. Default 10000. */
  readonly maxKeys?: number;
  readonly clock?: Clock;
}

/** Options with every default filled in. */
export interface RateSettings {
  readonly limit: number;
  readonly windowMs: number;
  readonly burst: number;
  readonly maxKeys: number;
  readonly clock: Clock;
}

const MAX_KEYS = 10_000;

/**
 * The options checked, with defaults.
 *
 * @throws RangeError or TypeError when an option is not legal, naming it.
 */
export function rateSettings(who: string, options: RateLimiterOptions): RateSettings {
  const { perSecond, maxKeys = MAX_KEYS, clock = systemClock } = options;
  if (perSecond !== undefined && (options.limit !== undefined || options.windowMs !== undefined)) {
    throw new TypeError(`${who}: perSecond stands for limit and windowMs; give one or the others`);
  }
  const limit = options.limit ?? perSecond;
  const windowMs = options.windowMs ?? 1000;
  if (limit === undefined) throw new TypeError(`${who}: limit or perSecond must be given`);
  const named = perSecond === undefined ? "limit" : "perSecond";
  if (!(limit > 0 && limit < Infinity))
    throw new RangeError(`${who}: ${named} must be above 0 and finite, got ${limit}`);
  if (!(windowMs > 0 && windowMs < Infinity)) {
    throw new RangeError(`${who}: windowMs must be above 0 and finite, got ${windowMs}`);
  }
  const burst = options.burst ?? Math.max(1, limit);
  if (!(burst >= 1 && burst < Infinity)) throw new RangeError(`${who}: burst must be 1 or more, got ${burst}`);
  if (!(Number.isInteger(maxKeys) && maxKeys >= 1)) {
    throw new RangeError(`${who}: maxKeys must be a whole number from 1, got ${maxKeys}`);
  }
  return { limit, windowMs, burst, maxKeys, clock };
}
