/** Whether a call may go, and how things stand then. */
export interface Decision {
  readonly allowed: boolean;
  /** The quota: calls a window, or the size of a burst. */
  readonly limit: number;
  /** What is left of it, a whole number. */
  readonly remaining: number;
  /** Until as much as was asked for is there, milliseconds; 0 when the call may go. */
  readonly retryAfterMs: number;
  /** Until all of the quota is there again, milliseconds. */
  readonly resetMs: number;
}

/** Counts calls by key against a quota. Local ones decide at once, those that share a quota between processes when they can. */
export interface RateLimiter {
  /** The quota and the time it is for, for those who are told of it. */
  readonly quota: { readonly limit: number; readonly windowMs: number };
  /**
   * Takes so much out of the quota of a key, or nothing when there is not enough.
   *
   * @param cost - above 0. Default 1.
   * @throws RangeError when the cost is more than the quota can ever hold.
   */
  take(key: string, cost?: number): Decision | Promise<Decision>;
}

/** Options of all limiters. */
export interface QuotaOptions {
  /** Calls in a window. Above 0. */
  readonly limit: number;
  /** Length of the window, milliseconds, above 0. Default 1000: so many a second. */
  readonly windowMs?: number;
  /**
   * Keys that are kept apart at a time. Of those beyond, the one asked for longest ago is forgotten, as if it had all of its quota.
   * 1 or more. Default 10000.
   */
  readonly maxKeys?: number;
}

/** @throws RangeError when an option is not legal, naming it. */
export function checkQuota(
  of: string,
  { limit, windowMs = 1000, maxKeys = 10_000 }: QuotaOptions,
): Required<QuotaOptions> {
  if (!(limit > 0 && limit < Infinity)) throw new RangeError(`${of}: limit must be above 0 and finite, got ${limit}`);
  if (!(windowMs > 0 && windowMs < Infinity)) {
    throw new RangeError(`${of}: windowMs must be above 0 and finite, got ${windowMs}`);
  }
  if (!(maxKeys >= 1)) throw new RangeError(`${of}: maxKeys must be 1 or more, got ${maxKeys}`);
  return { limit, windowMs, maxKeys };
}

/** @throws RangeError when the cost can never be met. */
export function checkCost(of: string, cost: number, most: number): void {
  if (cost > 0 && cost <= most) return;
  throw new RangeError(`${of}: a cost must be above 0 and at most ${most}, the whole quota, got ${cost}`);
}
