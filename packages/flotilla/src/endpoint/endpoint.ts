import type { Context } from "../context/context.ts";
import type { ServiceError } from "../errors/service-error.ts";
import type { MethodInfo } from "./method-info.ts";
import type { Policy } from "./policy.ts";

/**
 * One method of a service as a function, on the server and on the client alike.
 *
 * A stream is an `AsyncIterable` in the place of `Req` (client streaming), `Res` (server streaming) or both, so that one
 * type covers the four kinds of method.
 */
export type Endpoint<Req = unknown, Res = unknown> = (ctx: Context, request: Req) => Promise<Res>;

/**
 * A decorator of endpoints: takes the next endpoint inwards, gives back one that does something around it.
 *
 * It is told which method it wraps when it is applied, never per call: resolve names, labels and options there. Return a
 * *named* function, so that a stack trace reads as the stack of concerns.
 *
 * ```ts
 * const timed: Middleware = (next, method) =>
 *   async function timed(ctx, request) {
 *     const start = ctx.clock.now();
 *     try {
 *       return await next(ctx, request);
 *     } finally {
 *       console.log(method.procedure, ctx.clock.now() - start);
 *     }
 *   };
 * ```
 *
 * That times unary calls. A stream is there before its first message: `observeCall` tells when it ends, and how.
 */
export interface Middleware {
  <Req, Res>(next: Endpoint<Req, Res>, method: MethodInfo): Endpoint<Req, Res>;
  /**
   * Whether a call would be refused as things stand, asked by a host before the request is read: refusing then costs next to
   * nothing. That it would not be refused now promises nothing. Must not throw.
   *
   * @returns the error of the call; undefined when it may come.
   */
  readonly refuses?: (ctx: Context, method: MethodInfo) => ServiceError | undefined;
  /** What it tells of itself, if anything: for metrics, the page `/state` and the log. Fixed when the middleware is made. */
  readonly policies?: readonly Policy[];
}

/**
 * One middleware out of many. **The first is the outermost**: it sees the request first and the response last.
 *
 * `chain(a, b, c)(next, method)` is `a(b(c(next, method), method), method)`. Without middlewares the endpoint is returned as it is.
 * It tells of itself what they all do.
 */
export function chain(...middlewares: readonly Middleware[]): Middleware {
  const chained: Middleware = (next, method) => {
    let endpoint = next;
    for (let i = middlewares.length - 1; i >= 0; i--) endpoint = middlewares[i]!(endpoint, method);
    return endpoint;
  };
  const refusing = middlewares.flatMap(({ refuses }) => (refuses === undefined ? [] : [refuses]));
  if (refusing.length > 0) {
    const refuses: Middleware["refuses"] = (ctx, method) => {
      for (const one of refusing) {
        const error = one(ctx, method);
        if (error !== undefined) return error;
      }
      return undefined;
    };
    Object.assign(chained, { refuses });
  }
  return withPolicies(chained, policiesOf(middlewares));
}

/** What these middlewares tell of themselves. */
export function policiesOf(middlewares: readonly Middleware[]): readonly Policy[] {
  return middlewares.flatMap(({ policies = [] }) => policies);
}

/** Has a middleware tell of itself. @returns the same middleware. */
export function withPolicies<M extends Middleware>(middleware: M, policies: readonly Policy[]): M {
  return Object.defineProperty(middleware, "policies", { value: policies });
}
