import type { Clock } from "../../clock/clock.ts";

/** What a limit knows of the calls of one method. */
export interface Kind {
  /** Calls of the method in flight now: the gate counts them. */
  inFlight: number;
}

/** How many calls may be in flight, and what it learns from those that end. One a server or target. */
export interface Limit<K extends Kind = Kind> {
  /** Calls that may be in flight now: a whole number, 1 or more. */
  readonly current: number;
  /** The calls of one method; called once a method. */
  kind(): K;
  /** A call has found no room. */
  pressed(nowMs: number): void;
  /**
   * A call has ended that tells something of the load: it succeeded, or ran out of time. What a reverse proxy passes on has with its head, and stays in flight.
   *
   * @param durationMs - since it was let in.
   * @param found - calls that were in flight when it was let in, itself included.
   * @param alike - of these, calls of its kind.
   * @param late - it ran out of time.
   */
  ended(nowMs: number, durationMs: number, found: number, alike: number, kind: K, late: boolean): void;
}

/** Makes the limit of one server or target. */
export type LimitFactory = (clock: Clock) => Limit;

/** A limit that stays as it is. @throws RangeError when it is no whole number above 0. */
export function fixedLimit(limit: number): LimitFactory {
  if (!(Number.isInteger(limit) && limit >= 1)) {
    throw new RangeError(`concurrencyLimit: limit must be a whole number above 0, got ${limit}`);
  }
  const fixed: Limit = { current: limit, kind: () => ({ inFlight: 0 }), pressed() {}, ended() {} };
  return () => fixed;
}
