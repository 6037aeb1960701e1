import { type Decision, type LocalRateLimiter, SLACK, wholeUnits } from "./limiter.ts";
import { type RateLimiterOptions, rateSettings } from "./options.ts";
import { TableLimiter } from "./table-limiter.ts";

/** Options of {@link slidingWindow}: those of all limiters but `burst`, which is the limit itself. */
export type SlidingWindowOptions = Omit<RateLimiterOptions, "burst">;

/** Three numbers a key: the number of its current window, units taken in the one before, and in the current one. */
const WINDOW = 0;
const BEFORE = 1;
const CURRENT = 2;

class SlidingWindow extends TableLimiter {
  constructor(options: SlidingWindowOptions) {
    const settings = rateSettings("slidingWindow", options);
    const { limit, windowMs } = settings;
    if (limit < 1) throw new RangeError(`slidingWindow: limit must be 1 or more, got ${limit}`);
    if ((options as RateLimiterOptions).burst !== undefined) {
      throw new TypeError("slidingWindow: burst is the limit itself; use tokenBucket or gcra for another");
    }
    super({ ...settings, burst: limit }, 3, (values, at, now) => {
      const age = Math.floor(now / windowMs) - values[at + WINDOW]!;
      const share = 1 - (now % windowMs) / windowMs;
      if (age === 0) return values[at + BEFORE]! * share + values[at + CURRENT]!;
      return age === 1 ? values[at + CURRENT]! * share : 0;
    });
  }

  protected decide(now: number, key: string, cost: number): Decision {
    const { limit, windowMs } = this;
    const window = Math.floor(now / windowMs);
    const at = this.table.find(key, now);
    const { values } = this.table;
    const passed = window - values[at + WINDOW]!;
    if (passed > 0) {
      values[at + BEFORE] = passed === 1 ? values[at + CURRENT]! : 0;
      values[at + CURRENT] = 0;
      values[at + WINDOW] = window;
    }
    const before = values[at + BEFORE]!;
    let current = values[at + CURRENT]!;
    const elapsedMs = now - window * windowMs;
    const used = before * (1 - elapsedMs / windowMs) + current;
    const allowed = used + cost <= limit + SLACK;
    if (allowed) values[at + CURRENT] = current += cost;
    return {
      allowed,
      limit,
      remaining: wholeUnits(limit - used - (allowed ? cost : 0)),
      retryAfterMs: allowed ? 0 : fitsAtMs(limit - cost, before, current, windowMs) - elapsedMs,
      resetMs: current > 0 ? 2 * windowMs - elapsedMs : before > 0 ? windowMs - elapsedMs : 0,
    };
  }
}

/** When, from the beginning of the current window, no more than `room` counts as used. */
function fitsAtMs(room: number, before: number, current: number, windowMs: number): number {
  // In this window those of the one before fade away; in the next, those of this one.
  if (current <= room) return windowMs * (1 - (room - current) / before);
  return windowMs * (2 - room / current);
}

/**
 * A limiter that counts what a key took in windows of `windowMs`, and takes the one before the current to have been even: used is
 * `before * (1 - elapsed / windowMs) + current`, which stays within `limit`.
 *
 * Where traffic is even this is exact: no `windowMs`, wherever it begins, has more than `limit`. Who crowds into the end of one
 * window gains: then a span of `windowMs` that ends a share s into a window may have up to `(1 + s) * limit`. A token bucket with
 * `burst` set is as cheap and never exceeds its bound; this one is for quotas that are told as "so many in the last minute".
 *
 * Keys beyond `maxKeys` drive out those that lose least by it: first any that took nothing of late, for which nothing changes.
 * One that had is counted in `forgotten`, and may take the limit anew.
 *
 * Algorithm: sliding window counter (Cloudflare, "How we built rate limiting capable of scaling to millions of domains", 2017).
 *
 * @throws RangeError or TypeError when an option is not legal, naming it.
 */
export function slidingWindow(options: SlidingWindowOptions): LocalRateLimiter {
  return new SlidingWindow(options);
}
