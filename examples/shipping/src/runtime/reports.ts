import { type Context, sleep } from "flotilla/context";
import type { Telemetry } from "flotilla/telemetry";
import { type Served, servedOf } from "./served.ts";

/** What a process tells the launcher. */
export interface Report {
  readonly kind: "served";
  readonly served: Served;
}

const everyMs = 250;

/**
 * A task for a host: tells the launcher, over the channel to the parent process, what the metrics say of what was served, and once more at the end.
 * When the launcher is gone the process stops as if it had been told to. Without a launcher it does nothing.
 */
export function reportsToLauncher(observed: Telemetry): (ctx: Context) => Promise<void> {
  return async (ctx) => {
    const stop = () => process.kill(process.pid, "SIGTERM");
    process.once("disconnect", stop);
    try {
      for (;;) {
        await tell(observed);
        await sleep(ctx, everyMs);
      }
    } finally {
      process.off("disconnect", stop);
      await tell(observed);
      if (process.connected) process.disconnect();
    }
  };
}

async function tell(observed: Telemetry): Promise<void> {
  const report: Report = { kind: "served", served: servedOf(await observed.collect()) };
  await new Promise<void>((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    // A launcher that has just gone is no failure of this process.
    else process.send(report, undefined, undefined, () => resolve());
  });
}
