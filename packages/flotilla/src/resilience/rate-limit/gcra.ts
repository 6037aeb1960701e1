import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";
import { Keyed } from "./keyed.ts";
import { checkCost, checkQuota, type Decision, type QuotaOptions, type RateLimiter } from "./rate-limiter.ts";

/** Options of {@link gcra} and {@link tokenBucket}. */
export interface BurstOptions extends QuotaOptions {
  /** Calls that may come at once after a pause; 1 or more. Default: `limit`. */
  readonly burst?: number;
  readonly clock?: Clock;
}

/**
 * An even rate with room for a burst: in any span of time t at most `burst + limit * t / windowMs` calls go.
 *
 * One number a key. Algorithm: the generic cell rate algorithm (ITU-T I.371, ATM Forum TM 4.1), in the form that keeps the
 * theoretical arrival time; the same decisions as a token bucket of that size.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function gcra(options: BurstOptions): RateLimiter {
  const { limit, windowMs, maxKeys } = checkQuota("gcra", options);
  const { burst = limit, clock = systemClock } = options;
  if (!(burst >= 1 && burst < Infinity)) throw new RangeError(`gcra: burst must be 1 or more and finite, got ${burst}`);
  const intervalMs = windowMs / limit;
  const toleranceMs = intervalMs * burst;
  // Times count from here: a double has no digits to spare for the years since 1970.
  const originMs = clock.now();
  const arrivals = new Keyed<{ atMs: number }>(maxKeys, () => ({ atMs: 0 }));
  return {
    quota: { limit, windowMs },
    take(key, cost = 1): Decision {
      checkCost("gcra", cost, burst);
      const nowMs = clock.now() - originMs;
      const arrival = arrivals.get(key);
      const fromMs = Math.max(arrival.atMs, nowMs);
      const nextMs = fromMs + intervalMs * cost;
      // A billionth of an interval for rounding: never half a call early.
      const early = nextMs - toleranceMs - nowMs;
      if (early > intervalMs * 1e-9) {
        const remaining = Math.max(0, Math.floor((toleranceMs - (fromMs - nowMs)) / intervalMs + 1e-9));
        return { allowed: false, limit: burst, remaining, retryAfterMs: early, resetMs: fromMs - nowMs };
      }
      arrival.atMs = nextMs;
      const remaining = Math.max(0, Math.floor((toleranceMs - (nextMs - nowMs)) / intervalMs + 1e-9));
      return { allowed: true, limit: burst, remaining, retryAfterMs: 0, resetMs: nextMs - nowMs };
    },
  };
}
