import { systemClock } from "../../clock/system-clock.ts";
import type { BurstOptions } from "./gcra.ts";
import { Keyed } from "./keyed.ts";
import { checkCost, checkQuota, type Decision, type RateLimiter } from "./rate-limiter.ts";

interface Bucket {
  tokens: number;
  atMs: number;
}

/**
 * A bucket of `burst` tokens a key that fills at an even rate; each call takes some. In any span of time t at most
 * `burst + limit * t / windowMs` calls go.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function tokenBucket(options: BurstOptions): RateLimiter {
  const { limit, windowMs, maxKeys } = checkQuota("tokenBucket", options);
  const { burst = limit, clock = systemClock } = options;
  if (!(burst >= 1 && burst < Infinity)) {
    throw new RangeError(`tokenBucket: burst must be 1 or more and finite, got ${burst}`);
  }
  const perMs = limit / windowMs;
  const buckets = new Keyed<Bucket>(maxKeys, () => ({ tokens: burst, atMs: clock.now() }));
  return {
    quota: { limit, windowMs },
    take(key, cost = 1): Decision {
      checkCost("tokenBucket", cost, burst);
      const nowMs = clock.now();
      const bucket = buckets.get(key);
      bucket.tokens = Math.min(burst, bucket.tokens + (nowMs - bucket.atMs) * perMs);
      bucket.atMs = nowMs;
      // A billionth of a token for rounding: never half a call early.
      const allowed = bucket.tokens >= cost - 1e-9;
      if (allowed) bucket.tokens = Math.max(0, bucket.tokens - cost);
      return {
        allowed,
        limit: burst,
        remaining: Math.floor(bucket.tokens + 1e-9),
        retryAfterMs: allowed ? 0 : (cost - bucket.tokens) / perMs,
        resetMs: (burst - bucket.tokens) / perMs,
      };
    },
  };
}
