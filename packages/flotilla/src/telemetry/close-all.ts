import type { Clock } from "../clock/clock.ts";
import { within } from "../clock/within.ts";

/** What is closed within a time, milliseconds. */
interface Part {
  close(timeoutMs: number): Promise<void>;
}

/** How long telemetry may take to close when nothing else is said, milliseconds. */
const CLOSE_MS = 5000;
/** Of it, the part for traces and metrics: the log goes last, for the others may still have something to say. */
const EXPORT_SHARE = 0.6;
/** Of each part, what its owner is told to take: the rest is for counting what it had to drop. */
const TOLD_SHARE = 0.95;

/**
 * Closes all parts of telemetry within one time, whatever has become of the collector and whoever reads the log.
 *
 * @throws what a part fails with; the others are closed all the same.
 */
export async function closeAll(
  parts: {
    readonly tracing: Part | undefined;
    readonly metering: Part | undefined;
    readonly logging: Part | undefined;
  },
  clock: Clock,
  timeoutMs = CLOSE_MS,
): Promise<void> {
  const { tracing, metering, logging } = parts;
  const endMs = clock.now() + timeoutMs;
  const exportMs = logging === undefined ? timeoutMs : timeoutMs * EXPORT_SHARE;
  const closeIn = (part: Part | undefined, ms: number): Promise<unknown> =>
    part === undefined ? Promise.resolve() : within(clock, ms, part.close(ms * TOLD_SHARE));
  const outcomes = await Promise.allSettled([closeIn(tracing, exportMs), closeIn(metering, exportMs)]);
  outcomes.push(...(await Promise.allSettled([closeIn(logging, endMs - clock.now())])));
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}
