import { roundRobin } from "flotilla/balance";
import { withoutCancel } from "flotilla/context";
import type { Endpoint, Middleware } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import type { SimChannelOptions } from "flotilla/sim";

/**
 * What is written by hand in most places: every attempt has a time of its own, after which the caller looks no longer, and is
 * repeated at once. Whoever serves is not told how long the caller waits, nor that it has gone.
 */
export function naive(attempts: number, timeoutMs: number): SimChannelOptions {
  return {
    use: [naiveRetry(attempts), naiveTimeout(timeoutMs)],
    balance: roundRobin(),
    timeoutMs: false,
    retry: false,
    throttle: false,
    ejection: false,
  };
}

/** Every call is tried so often, at once, whatever happens. */
function naiveRetry(attempts: number): Middleware {
  return <Req, Res>(next: Endpoint<Req, Res>): Endpoint<Req, Res> =>
    async function retryingBlindly(ctx, request) {
      for (let left = attempts - 1; ; left--) {
        try {
          return await next(ctx, request);
        } catch (error) {
          if (left === 0) throw error;
        }
      }
    };
}

/** The caller turns away after so long; the call goes on. */
function naiveTimeout(timeoutMs: number): Middleware {
  return <Req, Res>(next: Endpoint<Req, Res>): Endpoint<Req, Res> =>
    function turningAway(ctx, request) {
      return new Promise<Res>((resolve, reject) => {
        const timer = ctx.clock.schedule(timeoutMs, () => {
          reject(new ServiceError("deadline_exceeded", `no answer within ${timeoutMs} ms`));
        });
        next(withoutCancel(ctx), request).then(
          (response) => {
            timer.cancel();
            resolve(response);
          },
          (error: unknown) => {
            timer.cancel();
            reject(error);
          },
        );
      });
    };
}
