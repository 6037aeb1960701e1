import { type Decision, type LocalRateLimiter, SLACK, wholeUnits } from "./limiter.ts";
import { type RateLimiterOptions, rateSettings } from "./options.ts";
import { TableLimiter } from "./table-limiter.ts";

/** Two numbers a key: units missing in the bucket, and when that was. Zeros are a full bucket. */
const MISSING = 0;
const SINCE = 1;

class TokenBucket extends TableLimiter {
  readonly #unitsPerMs: number;

  constructor(options: RateLimiterOptions) {
    const settings = rateSettings("tokenBucket", options);
    const unitsPerMs = settings.limit / settings.windowMs;
    super(settings, 2, (values, at, now) =>
      Math.max(0, values[at + MISSING]! - (now - values[at + SINCE]!) * unitsPerMs),
    );
    this.#unitsPerMs = unitsPerMs;
  }

  protected decide(now: number, key: string, cost: number): Decision {
    const at = this.table.find(key, now);
    const { values } = this.table;
    let missing = Math.max(0, values[at + MISSING]! - (now - values[at + SINCE]!) * this.#unitsPerMs);
    const lacking = missing + cost - this.burst;
    const allowed = lacking <= SLACK;
    if (allowed) missing += cost;
    values[at + MISSING] = missing;
    values[at + SINCE] = now;
    return {
      allowed,
      limit: this.limit,
      remaining: wholeUnits(this.burst - missing),
      retryAfterMs: allowed ? 0 : lacking / this.#unitsPerMs,
      resetMs: missing / this.#unitsPerMs,
    };
  }
}

/**
 * A bucket of `burst` units for each key, full at first, into which `limit` units flow in each window; a request takes its cost
 * out, or is refused.
 *
 * In any interval of t milliseconds no key takes more than `burst + limit * t / windowMs` units.
 *
 * Keys beyond `maxKeys` drive out those that lose least by it: first full buckets, for which nothing changes. One that was not
 * full is counted in `forgotten`, and is full when the key comes again.
 *
 * Algorithm: token bucket (Turner, "New directions in communications", IEEE Communications Magazine 24(10), 1986), filled
 * lazily.
 *
 * @throws RangeError or TypeError when an option is not legal, naming it.
 */
export function tokenBucket(options: RateLimiterOptions): LocalRateLimiter {
  return new TokenBucket(options);
}
