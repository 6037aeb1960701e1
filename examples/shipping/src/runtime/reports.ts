import { type Context, sleep } from "flotilla/context";
import type { Meter, Served } from "./meter.ts";

/** What a process tells the launcher. */
export interface Report {
  readonly kind: "served";
  readonly served: Served;
}

const everyMs = 250;

/**
 * A task for a host: tells the launcher, over the channel to the parent process, what was served, and once more at the end.
 * When the launcher is gone the process stops as if it had been told to. Without a launcher it does nothing.
 */
export function reportsToLauncher(meter: Meter): (ctx: Context) => Promise<void> {
  return async (ctx) => {
    const stop = () => process.kill(process.pid, "SIGTERM");
    process.once("disconnect", stop);
    try {
      for (;;) {
        await tell(meter);
        await sleep(ctx, everyMs);
      }
    } finally {
      process.off("disconnect", stop);
      await tell(meter);
      if (process.connected) process.disconnect();
    }
  };
}

function tell(meter: Meter): Promise<void> {
  const report: Report = { kind: "served", served: meter.read() };
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    // A launcher that has just gone is no failure of this process.
    else process.send(report, undefined, undefined, () => resolve());
  });
}
