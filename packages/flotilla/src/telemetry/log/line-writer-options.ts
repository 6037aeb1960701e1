import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";
import type { Descriptor } from "./descriptor.ts";

/** Options of `LineWriter`. */
export interface LineWriterOptions {
  /** Where lines go. Default 1, standard output. */
  readonly fd?: number | Descriptor;
  /** Most bytes that wait for a reader; further lines are dropped and counted. 65,536 or more. Default 8 MiB. */
  readonly maxBytes?: number;
  /** A line waits at most so long for others to be written with it, milliseconds. Default 5. */
  readonly flushMs?: number;
  /** `flushSync` and `close` give up when the reader has taken nothing for so long, milliseconds. Default 2000. */
  readonly patienceMs?: number;
  readonly clock?: Clock;
  /** The line, with its newline, that tells how many were dropped. Default: none is written. */
  readonly reportDropped?: (lines: number) => string;
  /** Told when lines are lost: once when the descriptor fails for good, as with `EPIPE`, and when nobody reads at exit. Must not throw. */
  readonly onError?: (error: Error) => void;
}

/** What became of the lines given to a `LineWriter`. */
export interface LineWriterCounters {
  /** Lines written. */
  readonly written: number;
  /** Lines lost: nobody read, or the descriptor failed. */
  readonly dropped: number;
  /** Bytes that wait. */
  readonly waitingBytes: number;
}

const MIN_BYTES = 65_536;

/** Options with their defaults. @throws RangeError when one is not legal, naming it. */
export function settle(options: LineWriterOptions) {
  const settled = { fd: 1, maxBytes: 8 * 1024 * 1024, flushMs: 5, patienceMs: 2000, clock: systemClock, ...options };
  const { maxBytes, flushMs, patienceMs } = settled;
  if (!(maxBytes >= MIN_BYTES)) throw new RangeError(`logging: maxBytes must be ${MIN_BYTES} or more, got ${maxBytes}`);
  if (!(flushMs >= 0)) throw new RangeError(`logging: flushMs must be 0 or more milliseconds, got ${flushMs}`);
  if (!(patienceMs >= 0)) {
    throw new RangeError(`logging: patienceMs must be 0 or more milliseconds, got ${patienceMs}`);
  }
  return settled;
}
