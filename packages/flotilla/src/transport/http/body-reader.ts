import type { Readable } from "node:stream";
import { isWhole } from "../../codec/whole.ts";
import type { Context } from "../../context/context.ts";
import { afterFunc } from "../../context/with.ts";
import { ServiceError } from "../../errors/service-error.ts";

/**
 * Reads a body chunk by chunk, at the reader's pace: what is not read stays in the socket. Unlike Node's own iterator it
 * ends with the context, and leaves the socket alone when the reader stops early, so that an answer can still be written.
 */
export async function* readBody(
  body: Readable,
  ctx: Context,
  onBytes: (count: number) => void,
): AsyncGenerator<Uint8Array> {
  let wake: (() => void) | undefined;
  let failure: unknown;
  let ended = false;
  const notify = (): void => wake?.();
  const onEnd = (): void => {
    ended = true;
    notify();
  };
  const onError = (error: Error): void => {
    failure ??= error;
    notify();
  };
  body.on("readable", notify);
  body.on("end", onEnd);
  body.on("error", onError);
  body.on("close", notify);
  const stop = afterFunc(ctx, notify);
  try {
    for (;;) {
      if (ctx.err !== undefined) throw ctx.err;
      const chunk = body.read() as Uint8Array | null;
      if (chunk !== null) {
        onBytes(chunk.byteLength);
        yield chunk;
        continue;
      }
      if (ended || body.readableEnded) return;
      if (failure !== undefined || body.destroyed) {
        // Lost when all had come.
        if (isWhole(body)) return;
        throw new ServiceError("canceled", "the peer went away inside a message", { cause: failure });
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      wake = undefined;
    }
  } finally {
    stop();
    // Taking away what is not there would stop a body that somebody lets flow by now.
    if (body.listenerCount("readable", notify) > 0) body.off("readable", notify);
    body.off("end", onEnd);
    body.off("close", notify);
    // The error listener stays: an error nobody hears would end the process.
  }
}
