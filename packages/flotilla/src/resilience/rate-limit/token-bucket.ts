import type { Clock } from "../../clock/clock.ts";
import { KeyTable } from "./key-table.ts";
import { checkCost, type Decision, type LocalRateLimiter, SLACK, wholeUnits } from "./limiter.ts";
import { type RateLimiterOptions, rateSettings } from "./options.ts";

/** Two numbers a key: units missing in the bucket, and when that was. Zeros are a full bucket. */
const MISSING = 0;
const SINCE = 1;

class TokenBucket implements LocalRateLimiter {
  readonly limit: number;
  readonly windowMs: number;
  readonly burst: number;
  readonly #unitsPerMs: number;
  readonly #clock: Clock;
  // Times are kept from here on, so that doubles stay exact.
  readonly #originMs: number;
  readonly #table: KeyTable;

  constructor(options: RateLimiterOptions) {
    const { limit, windowMs, burst, maxKeys, clock } = rateSettings("tokenBucket", options);
    this.limit = limit;
    this.windowMs = windowMs;
    this.burst = burst;
    const unitsPerMs = limit / windowMs;
    this.#unitsPerMs = unitsPerMs;
    this.#clock = clock;
    this.#originMs = clock.now();
    this.#table = new KeyTable(2, maxKeys, (values, at, now) =>
      Math.max(0, values[at + MISSING]! - (now - values[at + SINCE]!) * unitsPerMs),
    );
  }

  get size(): number {
    return this.#table.size;
  }

  get forgotten(): number {
    return this.#table.forgotten;
  }

  take(key: string, cost = 1): Decision {
    checkCost(cost, this.burst);
    const now = this.#clock.now() - this.#originMs;
    const at = this.#table.find(key, now);
    const { values } = this.#table;
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
