import { withTimeout } from "flotilla/context";
import type { Middleware } from "flotilla/endpoint";
import { serverCall, withHeaders } from "flotilla/metadata";

const HEADER = "x-deadline";

/** The naive way across a hop: the time of day at which the caller gives up. */
export const sendDeadline: Middleware = (next) =>
  function sendingDeadline(ctx, request) {
    const { clock, deadline } = ctx;
    if (deadline === undefined) return next(ctx, request);
    const at = clock.epoch() + deadline - clock.now();
    return next(withHeaders(ctx, { [HEADER]: String(at) }), request);
  };

/** Its other end: by the clock of this machine. */
export const heedDeadline: Middleware = (next) =>
  async function heedingDeadline(ctx, request) {
    const at = serverCall(ctx)?.headers.get(HEADER);
    if (at === undefined) return next(ctx, request);
    const limited = withTimeout(ctx, Number(at) - ctx.clock.epoch());
    try {
      if (limited.err !== undefined) throw limited.err;
      return await next(limited, request);
    } finally {
      limited.cancel();
    }
  };
