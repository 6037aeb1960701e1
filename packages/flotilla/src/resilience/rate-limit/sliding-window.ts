import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";
import { Keyed } from "./keyed.ts";
import { checkCost, checkQuota, type Decision, type QuotaOptions, type RateLimiter } from "./rate-limiter.ts";

/** Options of {@link slidingWindow}. */
export interface SlidingWindowOptions extends QuotaOptions {
  readonly clock?: Clock;
}

interface Window {
  /** Number of the current window. */
  number: number;
  current: number;
  previous: number;
}

/**
 * So many calls in the window that ends now, of which the part that lies in the fixed window before is taken to have been even.
 * Two numbers a key. All of the quota may come at once; a fixed window would let twice as much through around its end.
 *
 * Algorithm: sliding window counter, as described by Cloudflare ("How we built rate limiting capable of scaling to millions of
 * domains", 2017).
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function slidingWindow(options: SlidingWindowOptions): RateLimiter {
  const { limit, windowMs, maxKeys } = checkQuota("slidingWindow", options);
  const { clock = systemClock } = options;
  const windows = new Keyed<Window>(maxKeys, () => ({ number: 0, current: 0, previous: 0 }));
  return {
    quota: { limit, windowMs },
    take(key, cost = 1): Decision {
      checkCost("slidingWindow", cost, limit);
      const nowMs = clock.now();
      const number = Math.floor(nowMs / windowMs);
      const window = windows.get(key);
      if (number !== window.number) {
        window.previous = number === window.number + 1 ? window.current : 0;
        window.current = 0;
        window.number = number;
      }
      const elapsed = nowMs / windowMs - number;
      const used = window.previous * (1 - elapsed) + window.current;
      const allowed = used + cost <= limit + 1e-9;
      if (allowed) window.current += cost;
      const left = limit - used - (allowed ? cost : 0);
      const toEndMs = (1 - elapsed) * windowMs;
      return {
        allowed,
        limit,
        remaining: Math.max(0, Math.floor(left + 1e-9)),
        retryAfterMs: allowed ? 0 : waitMs(window, cost, elapsed, limit, windowMs),
        resetMs: window.current > 0 ? toEndMs + windowMs : window.previous > 0 ? toEndMs : 0,
      };
    },
  };
}

/** Until there is room for so much more, when nothing else comes. */
function waitMs({ previous, current }: Window, cost: number, elapsed: number, limit: number, windowMs: number): number {
  // Within this window, as what was before moves out of sight.
  const room = limit - current - cost;
  if (room >= 0) return (1 - room / previous - elapsed) * windowMs;
  // In the next one, as what is in this one does.
  const share = 1 - Math.max(0, limit - cost) / current;
  return (1 - elapsed + Math.max(0, share)) * windowMs;
}
