import type { Context } from "./context.ts";
import { afterFunc } from "./with.ts";

/**
 * Waits on the context's clock.
 *
 * @param ms - milliseconds.
 * @throws ServiceError `canceled` or `deadline_exceeded` as soon as the context is done.
 */
export function sleep(ctx: Context, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    if (ctx.err !== undefined) return reject(ctx.err);
    const timer = ctx.clock.schedule(ms, () => {
      stop();
      resolve();
    });
    const stop = afterFunc(ctx, () => {
      timer.cancel();
      reject(ctx.err);
    });
  });
}
