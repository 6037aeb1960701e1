import type { Clock, Timer } from "../../clock/clock.ts";
import { within } from "../../clock/within.ts";
import type { MetricData } from "../model.ts";
import type { LeanMeterProvider } from "./provider.ts";

/** Somewhere metrics are sent to. */
export interface MetricSender {
  /** @throws what it has told of itself. When `signal` aborts, what is not sent is lost and counted as such. */
  send(data: readonly MetricData[], signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Times of {@link periodic}, milliseconds. */
export interface PeriodicTimes {
  /** From the end of one export to the begin of the next. */
  readonly intervalMs: number;
  /** For one export, collecting included; then it is aborted. */
  readonly timeoutMs: number;
}

/** Sends at each interval, one at a time, and once more at the end. */
export interface Periodic {
  /**
   * Sends what there is now, and closes the senders.
   *
   * @param timeoutMs - for all of it: an export that is under way has half of it, the last one what is left. Whatever is not sent by then is
   * aborted. Never rejects.
   */
  close(timeoutMs: number): Promise<void>;
}

/** Starts sending. */
export function periodic(
  to: readonly MetricSender[],
  provider: Pick<LeanMeterProvider, "collect">,
  { intervalMs, timeoutMs }: PeriodicTimes,
  clock: Clock,
): Periodic {
  if (to.length === 0) return { close: () => Promise.resolve() };
  let timer: Timer;
  let current: AbortController | undefined;
  let sending: Promise<void> = Promise.resolve();
  let closed: Promise<void> | undefined;

  const send = async (ms: number): Promise<void> => {
    const abort = new AbortController();
    current = abort;
    const limit = clock.schedule(ms, () => abort.abort());
    limit.unref();
    // What hangs when it is asked must leave time for what the others have said.
    const data = await provider.collect(ms / 2);
    // Each tells of its own failures.
    await Promise.all(to.map((sender) => sender.send(data, abort.signal).catch(() => {})));
    limit.cancel();
  };
  const plan = (): void => {
    if (closed !== undefined) return;
    timer = clock.schedule(intervalMs, () => {
      sending = send(timeoutMs).then(plan);
    });
    timer.unref();
  };
  const end = async (ms: number): Promise<void> => {
    timer.cancel();
    const endMs = clock.now() + ms;
    if (!(await within(clock, ms / 2, sending))) current?.abort();
    const left = endMs - clock.now();
    await within(clock, left, send(Math.min(timeoutMs, left)));
    await Promise.all(to.map((sender) => sender.close().catch(() => {})));
  };

  plan();
  return { close: (ms) => (closed ??= end(ms)) };
}
