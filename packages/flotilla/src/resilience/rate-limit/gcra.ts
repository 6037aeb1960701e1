import { type Decision, type LocalRateLimiter, SLACK, wholeUnits } from "./limiter.ts";
import { type RateLimiterOptions, rateSettings } from "./options.ts";
import { TableLimiter } from "./table-limiter.ts";

/** One number a key: when all that was taken is paid back (the "theoretical arrival time"). */
const DUE = 0;

class Gcra extends TableLimiter {
  /** Milliseconds that pay for a unit. */
  readonly #unitMs: number;
  readonly #toleranceMs: number;

  constructor(options: RateLimiterOptions) {
    const settings = rateSettings("gcra", options);
    const unitMs = settings.windowMs / settings.limit;
    super(settings, 1, (values, at, now) => Math.max(0, values[at + DUE]! - now) / unitMs);
    this.#unitMs = unitMs;
    this.#toleranceMs = unitMs * this.burst;
  }

  protected decide(now: number, key: string, cost: number): Decision {
    const unitMs = this.#unitMs;
    const at = this.table.find(key, now) + DUE;
    const { values } = this.table;
    const due = Math.max(values[at]!, now);
    const next = due + cost * unitMs;
    const earlyMs = next - now - this.#toleranceMs;
    const allowed = earlyMs <= unitMs * SLACK;
    if (allowed) values[at] = next;
    const resetMs = (allowed ? next : due) - now;
    return {
      allowed,
      limit: this.limit,
      remaining: wholeUnits((this.#toleranceMs - resetMs) / unitMs),
      retryAfterMs: allowed ? 0 : earlyMs,
      resetMs,
    };
  }
}

/**
 * A limiter that spaces units evenly, `windowMs / limit` apart, and lets a key run up to `burst` units ahead of that. It decides
 * as a token bucket does, with one number a key. For the strictest pace give `burst: 1`.
 *
 * In any interval of t milliseconds no key takes more than `burst + limit * t / windowMs` units.
 *
 * Keys beyond `maxKeys` drive out those that lose least by it: first any that have nothing to pay back, for which nothing
 * changes. One that had is counted in `forgotten`, and may take its burst anew.
 *
 * Algorithm: generic cell rate algorithm (ITU-T I.371, annex A, virtual scheduling).
 *
 * @throws RangeError or TypeError when an option is not legal, naming it.
 */
export function gcra(options: RateLimiterOptions): LocalRateLimiter {
  return new Gcra(options);
}
