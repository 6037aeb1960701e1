import type { Clock } from "../../clock/clock.ts";

/** How many calls may be in flight, and what it learns from those that end. One a server or target. */
export interface Limit {
  /** Calls that may be in flight now: a whole number, 1 or more. */
  readonly current: number;
  /** What a call takes that need not wait for others, milliseconds; undefined while it is not known. */
  readonly unloadedMs: number | undefined;
  /** A call has found no room. */
  pressed(): void;
  /**
   * A call has ended that tells something of the load: it succeeded, or ran out of time.
   *
   * @param durationMs - since it was let in.
   * @param inFlight - calls that were in flight when it ended, itself included.
   */
  ended(nowMs: number, durationMs: number, inFlight: number): void;
}

/** Makes the limit of one server or target. */
export type LimitFactory = (clock: Clock) => Limit;

/** A limit that stays as it is. @throws RangeError when it is no whole number above 0. */
export function fixedLimit(limit: number): LimitFactory {
  if (!(Number.isInteger(limit) && limit >= 1)) {
    throw new RangeError(`concurrencyLimit: limit must be a whole number above 0, got ${limit}`);
  }
  const fixed: Limit = { current: limit, unloadedMs: undefined, pressed() {}, ended() {} };
  return () => fixed;
}
