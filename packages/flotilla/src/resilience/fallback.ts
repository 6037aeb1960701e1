import type { Context } from "../context/context.ts";
import type { Contract } from "../contract/contract.ts";
import { type Endpoint, type Middleware, withPolicies } from "../endpoint/endpoint.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import type { Policy, PolicyMetric } from "../endpoint/policy.ts";
import { ServiceError } from "../errors/service-error.ts";
import { isFailure } from "./failure.ts";

/** What is answered in the place of a method that fails, by the method's key. */
export type Fallbacks<C extends Contract> = { readonly [K in keyof C["spec"]]?: FallbackOf<C["spec"][K]> };

/** What is answered in the place of one unary method. What it throws, the caller is told. */
export type FallbackOf<S> = S extends {
  readonly kind: "unary";
  readonly "~types"?: { send: infer Send; res: infer Res };
}
  ? (ctx: Context, request: Send, error: ServiceError) => Promise<Res> | Res
  : never;

/** Options of {@link fallback}. */
export interface FallbackOptions {
  /** Which errors are met. Default: failures of the one called ({@link isFailure}), policies' refusals included; not what the caller did wrong. */
  readonly when?: (error: ServiceError) => boolean;
  /** Told of each call that is answered so. Must not throw. */
  readonly onFallback?: (error: ServiceError, method: MethodInfo) => void;
}

/** A middleware that tells what it did. */
export interface FallbackMiddleware extends Middleware {
  /** Calls answered in the place of the service so far. */
  readonly used: number;
}

const USED: PolicyMetric = {
  name: "flotilla.fallback.used",
  kind: "counter",
  unit: "{call}",
  description: "Calls answered by a fallback in the place of the service.",
};

type AnyFallback = (ctx: Context, request: unknown, error: ServiceError) => unknown;

/**
 * Answers in the place of unary methods that fail: with less, but at once. For calls whose answer can be done without; say in the
 * answer that it is one.
 *
 * ```ts
 * client(Recommendations, {
 *   discover,
 *   use: [fallback(Recommendations, { forUser: () => ({ items: bestsellers, personal: false }) })],
 * })
 * ```
 *
 * In `use` of a channel it stands outside of deadline and retry, so it comes when all else has failed. A call whose own context is
 * done fails as before: nobody waits for the answer.
 *
 * @throws TypeError when the contract has no unary method of that key.
 */
export function fallback<C extends Contract>(
  contract: C,
  fallbacks: Fallbacks<C>,
  options: FallbackOptions = {},
): FallbackMiddleware {
  const { when = isFailure, onFallback } = options;
  const answers = new Map(Object.entries(fallbacks as Record<string, AnyFallback>));
  for (const key of answers.keys()) {
    const info = contract.methods.find((method) => method.key === key);
    if (info === undefined) throw new TypeError(`fallback: ${contract.name} has no method "${key}"`);
    if (info.kind !== "unary")
      throw new TypeError(`fallback: ${info.procedure} streams: only unary methods can have one`);
  }
  let used = 0;

  const middleware = <Req, Res>(next: Endpoint<Req, Res>, method: MethodInfo): Endpoint<Req, Res> => {
    const answer = method.service === contract.name ? answers.get(method.key) : undefined;
    if (answer === undefined) return next;
    return async function fallingBack(ctx, request) {
      try {
        return await next(ctx, request);
      } catch (thrown) {
        const error = ServiceError.from(thrown);
        if (ctx.err !== undefined || !when(error)) throw thrown;
        used++;
        onFallback?.(error, method);
        return (await answer(ctx, request, error)) as Res;
      }
    };
  };
  const policy: Policy = {
    name: "fallback",
    metrics: [USED],
    measure: (to) => to(USED, used, { "rpc.service": contract.name }),
    describe: () => [{ service: contract.name, used }],
  };
  const falling = Object.defineProperty(middleware, "used", { get: () => used }) as unknown as FallbackMiddleware;
  return withPolicies(falling, [policy]);
}
