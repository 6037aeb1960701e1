import type { Context } from "../../../context/context.ts";
import { afterFunc, withTimeout } from "../../../context/with.ts";
import type { ServiceError } from "../../../errors/service-error.ts";

/** How long an answer that has begun may go on once the deadline has passed, milliseconds. */
const GRACE_MS = 1000;

/**
 * Calls back once, when a request is to be given up: as soon as its context ends, but where its deadline passes under an answer that has begun. The upstream was told
 * of that deadline, and will end the answer with the error that the client is to see: it is left the time for it.
 *
 * @param lasting - what the request lasts for, whatever its deadline.
 * @returns what takes the callback back.
 */
export function whenOver(
  ctx: Context,
  lasting: Context,
  begun: () => boolean,
  callback: (why: ServiceError) => void,
): () => void {
  let stop = afterFunc(ctx, () => {
    const why = ctx.err!;
    if (why.code !== "deadline_exceeded" || !begun()) return callback(why);
    stop = afterFunc(withTimeout(lasting, GRACE_MS), () => callback(lasting.err ?? why));
  });
  return () => void stop();
}
