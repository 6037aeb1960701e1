import type { Clock } from "../../clock/clock.ts";

/** Decides when a breaker opens. One a breaker; made anew each time it closes. */
export interface Trip {
  /** Takes down one outcome. @returns why to open, in words; undefined to stay closed. */
  record(nowMs: number, failed: boolean, durationMs: number): string | undefined;
  /** From here on a call is slow, milliseconds: a probe that is does not close the breaker. Default: none is. */
  readonly slowMs?: number;
}

/** Makes the trip of one breaker. */
export type TripFactory = (clock: Clock) => Trip;

/** Opens after so many failures in a row. @throws RangeError when `failures` is no whole number above 0. */
export function consecutive(failures = 5): TripFactory {
  whole("consecutive", "failures", failures);
  return () => {
    let inARow = 0;
    return {
      record(_nowMs, failed) {
        inARow = failed ? inARow + 1 : 0;
        return inARow >= failures ? `${inARow} calls in a row failed` : undefined;
      },
    };
  };
}

/** What both windows look at. */
export interface RateOptions {
  /** Fewer calls than this tell nothing. 1 or more. Default 20. */
  readonly minCalls?: number;
  /** Opens when this share of the calls failed. Above 0, to 1. Default 0.5. */
  readonly failureRate?: number;
  /** Opens when this share of the calls was slow. Above 0, to 1. Default 1: when all were. */
  readonly slowRate?: number;
  /** From here on a call is slow, milliseconds. Default: none is. */
  readonly slowMs?: number;
}

/** Options of {@link countWindow}. */
export interface CountWindowOptions extends RateOptions {
  /** So many calls are looked at, the last ones. 1 or more. Default 100. */
  readonly calls?: number;
}

/** Options of {@link timeWindow}. */
export interface TimeWindowOptions extends RateOptions {
  /** Calls of so long are looked at, milliseconds, above 0; the window moves on in tenths. Default 10000. */
  readonly windowMs?: number;
}

/** Opens when too many of the last calls failed, or were slow. @throws RangeError when an option is not legal, naming it. */
export function countWindow(options: CountWindowOptions = {}): TripFactory {
  const { calls = 100 } = options;
  whole("countWindow", "calls", calls);
  const rates = legalRates("countWindow", { minCalls: Math.min(20, calls), ...options });
  if (rates.minCalls > calls) {
    throw new RangeError(`countWindow: minCalls must not be above calls, got ${rates.minCalls} and ${calls}`);
  }
  return () => {
    // Bit 0: failed, bit 1: slow.
    const ring = new Uint8Array(calls);
    const sum = new Tally();
    let at = 0;
    return {
      slowMs: rates.slowMs,
      record(_nowMs, failed, durationMs) {
        const mark = (failed ? 1 : 0) | (durationMs >= rates.slowMs ? 2 : 0);
        if (sum.calls === calls) sum.add(ring[at]!, -1);
        ring[at] = mark;
        sum.add(mark, 1);
        at = at + 1 === calls ? 0 : at + 1;
        return sum.verdict(rates, "last ", "");
      },
    };
  };
}

const SLOTS = 10;

/** Opens when too many calls of the last while failed, or were slow. @throws RangeError when an option is not legal, naming it. */
export function timeWindow(options: TimeWindowOptions = {}): TripFactory {
  const { windowMs = 10_000 } = options;
  if (!(windowMs > 0 && windowMs < Infinity)) {
    throw new RangeError(`timeWindow: windowMs must be above 0 and finite, got ${windowMs}`);
  }
  const rates = legalRates("timeWindow", options);
  const slotMs = windowMs / SLOTS;
  const within = ` of the last ${windowMs} ms`;
  return (clock) => {
    const slots = Array.from({ length: SLOTS }, () => new Tally());
    const sum = new Tally();
    let current = Math.floor(clock.now() / slotMs);
    return {
      slowMs: rates.slowMs,
      record(nowMs, failed, durationMs) {
        const slot = Math.floor(nowMs / slotMs);
        // By the clock, not by the calls: what is older than the window is gone however few came since.
        for (let passed = Math.min(SLOTS, slot - current); passed > 0; passed--) {
          const old = slots[(slot - passed + 1) % SLOTS]!;
          sum.subtract(old);
          old.clear();
        }
        current = Math.max(current, slot);
        const mark = (failed ? 1 : 0) | (durationMs >= rates.slowMs ? 2 : 0);
        slots[current % SLOTS]!.add(mark, 1);
        sum.add(mark, 1);
        return sum.verdict(rates, "", within);
      },
    };
  };
}

class Tally {
  calls = 0;
  failed = 0;
  slow = 0;

  add(mark: number, times: 1 | -1): void {
    this.calls += times;
    if (mark & 1) this.failed += times;
    if (mark & 2) this.slow += times;
  }

  subtract(other: Tally): void {
    this.calls -= other.calls;
    this.failed -= other.failed;
    this.slow -= other.slow;
  }

  clear(): void {
    this.calls = 0;
    this.failed = 0;
    this.slow = 0;
  }

  /** Says which calls these are, before and after their number. */
  verdict(rates: Required<RateOptions>, before: string, after: string): string | undefined {
    const { calls, failed, slow } = this;
    if (calls < rates.minCalls) return undefined;
    if (failed >= rates.failureRate * calls) return `${failed} of the ${before}${calls} calls${after} failed`;
    if (slow < rates.slowRate * calls) return undefined;
    return `${slow} of the ${before}${calls} calls${after} took ${rates.slowMs} ms or more`;
  }
}

function legalRates(of: string, options: RateOptions): Required<RateOptions> {
  const { minCalls = 20, failureRate = 0.5, slowRate = 1, slowMs = Infinity } = options;
  whole(of, "minCalls", minCalls);
  if (!(failureRate > 0 && failureRate <= 1)) {
    throw new RangeError(`${of}: failureRate must be above 0 and at most 1, got ${failureRate}`);
  }
  if (!(slowRate > 0 && slowRate <= 1))
    throw new RangeError(`${of}: slowRate must be above 0 and at most 1, got ${slowRate}`);
  if (!(slowMs > 0)) throw new RangeError(`${of}: slowMs must be above 0, got ${slowMs}`);
  return { minCalls, failureRate, slowRate, slowMs };
}

function whole(of: string, name: string, value: number): void {
  if (!(Number.isInteger(value) && value >= 1)) {
    throw new RangeError(`${of}: ${name} must be a whole number above 0, got ${value}`);
  }
}
