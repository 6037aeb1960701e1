import type { Clock } from "./clock.ts";

/** Whether the work is done in the time given. @throws what the work fails with, in that time. */
export async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  let stop: (() => void) | undefined;
  const late = new Promise<boolean>((resolve) => {
    const timer = clock.schedule(ms, () => resolve(false));
    stop = () => timer.cancel();
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    stop?.();
  }
}
