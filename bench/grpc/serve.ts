import { cpuMicros } from "../lib/ready.ts";
import { answerMeasurements, serveCalls, serveLatency } from "../lib/worker.ts";

/** Messages of one stream. */
export const TICKS = 10_000;

/** Calls of a client row. `ticks` reads a stream of {@link TICKS} messages to its end. */
export interface Calls {
  sum(): Promise<void>;
  ticks(): Promise<void>;
}

/** Serves what the third argument says: calls a second of `sum` with 64 under way, messages a second of one `ticks` after the other, or
 * the 50th and 99th percentile of `sum`. */
export function serveKind(calls: Calls): void {
  const kind = process.argv[3];
  if (kind === "sum") serveCalls(() => calls.sum());
  else if (kind === "ticks") serveMessages(() => calls.ticks());
  else serveLatency(() => calls.sum(), Number(kind));
}

function serveMessages(stream: () => Promise<void>): void {
  answerMeasurements(async (seconds) => {
    const cpu = cpuMicros();
    const start = performance.now();
    let messages = 0;
    while (performance.now() < start + seconds * 1000) {
      await stream();
      messages += TICKS;
    }
    return { value: messages / ((performance.now() - start) / 1000), cpu: (cpuMicros() - cpu) / messages };
  });
}
