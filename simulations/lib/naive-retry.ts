import type { Endpoint, Middleware } from "flotilla/endpoint";

/** Every call is tried so often, at once, whatever happens: what is written by hand, and what many a library does. */
export function naiveRetry(attempts: number): Middleware {
  return <Req, Res>(next: Endpoint<Req, Res>): Endpoint<Req, Res> =>
    async function retryingBlindly(ctx, request) {
      for (let left = attempts - 1; ; left--) {
        try {
          return await next(ctx, request);
        } catch (error) {
          if (left === 0 || ctx.err !== undefined) throw error;
        }
      }
    };
}
