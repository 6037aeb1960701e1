import type { Context } from "../../context/context.ts";
import { sleep } from "../../context/sleep.ts";
import { remainingMs } from "../../context/with.ts";
import type { Endpoint, Middleware } from "../../endpoint/endpoint.ts";
import { outgoingCallKey } from "../../endpoint/observer.ts";
import { errorInfo } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { RATE_LIMITED } from "./rate-limit.ts";
import type { RateLimiter } from "./rate-limiter.ts";

/** Options of {@link pace}. */
export interface PaceOptions {
  readonly limiter: RateLimiter;
  /** Whose quota a call is counted against. Default: one quota for all. */
  readonly key?: (ctx: Context) => string;
  /** Calls that may wait at a time. 0 or more. Default 1000. */
  readonly maxWaiting?: number;
}

/**
 * Keeps the calls one makes to a quota: those over it wait, within their deadline, and fail at once as `resource_exhausted` when
 * they could not go in time or too many wait. For clients of what has a quota of its own.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function pace({ limiter, key = () => "", maxWaiting = 1000 }: PaceOptions): Middleware {
  if (!(maxWaiting >= 0)) throw new RangeError(`pace: maxWaiting must be 0 or more, got ${maxWaiting}`);
  let waiting = 0;
  /** By key, the end of the line: who comes later asks later. */
  const lines = new Map<string, Promise<void>>();

  /** Asks until there is room. */
  const ask = async (ctx: Context, name: string): Promise<void> => {
    for (;;) {
      const { allowed, retryAfterMs } = await limiter.take(name);
      if (allowed) return;
      if (retryAfterMs >= remainingMs(ctx)) {
        throw refusal(`the quota has room in ${Math.ceil(retryAfterMs)} ms, later than the deadline`);
      }
      await sleep(ctx, retryAfterMs);
    }
  };
  const turn = async (ctx: Context, name: string): Promise<void> => {
    const before = lines.get(name);
    if (before !== undefined) await before;
    if (ctx.err !== undefined) throw ctx.err;
    await ask(ctx, name);
  };
  const wait = async (ctx: Context, name: string): Promise<void> => {
    if (waiting >= maxWaiting) throw refusal(`${waiting} calls wait for it already`);
    waiting++;
    const told = ctx.value(outgoingCallKey)?.waits("rate limit");
    const mine = turn(ctx, name);
    const settled = mine.catch(() => {});
    lines.set(name, settled);
    try {
      await mine;
      told?.();
    } catch (error) {
      told?.(error);
      throw error;
    } finally {
      waiting--;
      if (lines.get(name) === settled) lines.delete(name);
    }
  };
  return <Req, Res>(next: Endpoint<Req, Res>): Endpoint<Req, Res> =>
    function paced(ctx, request) {
      const name = key(ctx);
      if (!lines.has(name)) {
        const decision = limiter.take(name);
        if (!(decision instanceof Promise) && decision.allowed) return next(ctx, request);
        if (decision instanceof Promise) {
          return decision.then(({ allowed }) =>
            allowed ? next(ctx, request) : wait(ctx, name).then(() => next(ctx, request)),
          );
        }
      }
      return wait(ctx, name).then(() => next(ctx, request));
    };
}

function refusal(why: string): ServiceError {
  return new ServiceError("resource_exhausted", `not sent: ${why}`, {
    details: [errorInfo({ reason: RATE_LIMITED, domain: "flotilla" })],
    retry: { unprocessed: true, never: true },
  });
}
