import type { TimeInput } from "@opentelemetry/api";
import type { Clock } from "../../clock/clock.ts";

/** After this long the anchor is compared with the wall clock. */
const CHECK_MS = 1_000;
/** By so much the wall clock may differ: it counts whole milliseconds, and is slewed. */
const TOLERANCE_MS = 20;

/** What a monotonic time is added to, to make a time since the epoch. Never changes: the spans of a trace share one. */
export interface TimeAnchor {
  readonly epochMinusNow: number;
}

/** Gives the anchor of new traces: a jump of the wall clock shows in the next trace, and never bends one that is running. */
export class Timeline {
  readonly clock: Clock;
  #anchor: TimeAnchor;
  #checkAt: number;

  constructor(clock: Clock) {
    this.clock = clock;
    const now = clock.now();
    this.#anchor = { epochMinusNow: clock.epoch() - now };
    this.#checkAt = now + CHECK_MS;
  }

  /** @param now - on the clock. */
  anchorAt(now: number): TimeAnchor {
    if (now >= this.#checkAt) this.#check();
    return this.#anchor;
  }

  #check(): void {
    const now = this.clock.now();
    const epochMinusNow = this.clock.epoch() - now;
    if (Math.abs(epochMinusNow - this.#anchor.epochMinusNow) > TOLERANCE_MS) this.#anchor = { epochMinusNow };
    this.#checkAt = now + CHECK_MS;
  }
}

/**
 * Reads a time as the OpenTelemetry API lets it be given: a Date, `[seconds, nanoseconds]` since the epoch, milliseconds since
 * the epoch, or, when not above the clock's present reading, milliseconds on the monotonic clock.
 *
 * @returns milliseconds since the epoch; undefined for what is none of these.
 */
export function readTime(time: unknown, clock: Clock, anchor: TimeAnchor): number | undefined {
  if (typeof time === "number") {
    if (!Number.isFinite(time)) return undefined;
    return time <= clock.now() ? time + anchor.epochMinusNow : time;
  }
  if (typeof time !== "object" || time === null) return undefined;
  try {
    if (Array.isArray(time)) {
      const [seconds, nanos] = time as unknown[];
      if (time.length !== 2 || typeof seconds !== "number" || typeof nanos !== "number") return undefined;
      const ms = seconds * 1e3 + nanos / 1e6;
      return Number.isFinite(ms) ? ms : undefined;
    }
    const ms = time instanceof Date ? time.getTime() : Number.NaN;
    return Number.isFinite(ms) ? ms : undefined;
  } catch {
    // A proxy, or a Date with a getTime of its own.
    return undefined;
  }
}

/** Whether it is meant as a time, and not as attributes. */
export function isTimeInput(value: unknown): value is TimeInput {
  try {
    return typeof value === "number" || Array.isArray(value) || value instanceof Date;
  } catch {
    return false;
  }
}
