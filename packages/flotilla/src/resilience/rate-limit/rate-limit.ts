import type { Context } from "../../context/context.ts";
import { type Endpoint, type Middleware, withPolicies } from "../../endpoint/endpoint.ts";
import { type Guard, guarded } from "../../endpoint/guard.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { Policy, PolicyMetric } from "../../endpoint/policy.ts";
import { errorInfo, FLOTILLA_DOMAIN } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { withoutStack } from "../../errors/without-stack.ts";
import { serverCall } from "../../metadata/call.ts";
import { gcra } from "./gcra.ts";
import { LIMIT_FIELD, POLICY_FIELD, RateLimitFields } from "./headers.ts";
import { boundedKey, type RateLimitKey } from "./keys.ts";
import type { Decision, RateLimiter } from "./limiter.ts";
import type { RateLimiterOptions } from "./options.ts";
import { TableLimiter } from "./table-limiter.ts";

/** Units that a call costs: a number, or worked out from the call before it is decoded any further. */
export type RateLimitCost = number | ((ctx: Context, request: unknown, method: MethodInfo) => number);

/** A call that was refused by {@link rateLimit}. */
export interface RateLimitRefusal {
  readonly policy: string;
  readonly key: string;
  readonly method: MethodInfo;
  readonly decision: Decision;
}

/** Options of {@link rateLimit}: a limiter, or those of a limiter of its own. */
export interface RateLimitOptions extends RateLimiterOptions {
  /** Who decides. Default: {@link gcra} with the other options given here. */
  readonly limiter?: RateLimiter;
  /** Whose units a call takes. Default: one key for all calls. {@link byPeer} and {@link byHeader} make others. */
  readonly key?: RateLimitKey;
  /** Units that a call costs. Default 1. */
  readonly cost?: RateLimitCost;
  /** What the limit is called in headers and errors, 1 to 64 visible ASCII characters. Default `default`. */
  readonly policy?: string;
  /** Whether answers, also those of calls that pass, tell the limit and what is left of it. Default true. */
  readonly headers?: boolean;
  /** Told of each call that is refused because its key has used up its units. Must not throw. */
  readonly onRefused?: (refusal: RateLimitRefusal) => void;
}

/** A middleware that tells what it did. */
export interface RateLimit extends Middleware {
  readonly limiter: RateLimiter;
  /** Calls admitted so far. */
  readonly admitted: number;
  /** Calls refused so far. */
  readonly refused: number;
}

const CALLS: PolicyMetric = {
  name: "flotilla.rate_limit.calls",
  kind: "counter",
  unit: "{call}",
  description: "Calls by whether a rate limit admitted them.",
};

/** The reason in the error detail of calls that were over a rate limit. */
export const RATE_LIMITED = "RATE_LIMITED";

/**
 * Refuses calls that are over a limit, as `resource_exhausted` with the time after which to come again (HTTP: status 429 and
 * Retry-After). Answers carry the fields RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10).
 *
 * One limiter serves all methods the middleware is put around; put it outside of what is costly, and inside of what
 * establishes the key (authentication). Streams cost once, when they begin. With a limiter of this process a call waits for nothing.
 *
 * ```ts
 * implement(Cargo, cargo, { use: [rateLimit({ perSecond: 500 }), rateLimit({ limit: 100, windowMs: 60_000, key: byPeer(), policy: "peer" })] })
 * ```
 *
 * A call whose cost is above the limiter's burst is refused with the word never to try again.
 *
 * @throws RangeError or TypeError when an option is not legal, naming it.
 */
export function rateLimit(options: RateLimitOptions): RateLimit {
  const { key, cost = 1, policy = "default", headers = true, onRefused } = options;
  const limiter = limiterOf("rateLimit", options);
  checkFixedCost("rateLimit", cost, limiter);
  const fields = new RateLimitFields(policy, limiter);
  const local = limiter instanceof TableLimiter ? limiter : undefined;
  const counts = { admitted: 0, refused: 0 };

  const middleware = <Req, Res>(next: Endpoint<Req, Res>, method: MethodInfo): Endpoint<Req, Res> => {
    /** @returns the error of a call that is not let in. */
    function judge(ctx: Context, owner: string, decision: Decision): ServiceError | undefined {
      if (headers) {
        const answer = serverCall(ctx)?.responseHeaders;
        answer?.append(POLICY_FIELD, fields.policy);
        answer?.append(LIMIT_FIELD, fields.state(decision));
      }
      if (decision.allowed) {
        counts.admitted++;
        return undefined;
      }
      counts.refused++;
      onRefused?.({ policy, key: owner, method, decision });
      return refusal(policy, limiter, decision.retryAfterMs);
    }
    const guard: Guard = {
      name: "rateLimited",
      enter(call) {
        const { ctx, request } = call;
        const given = key === undefined ? "" : key(ctx, method);
        if (given === undefined) return;
        const owner = boundedKey(given);
        const units = typeof cost === "number" ? cost : cost(ctx, request, method);
        if (units > limiter.burst) {
          counts.refused++;
          return call.refuse(tooCostly(policy, units, limiter));
        }
        const decision =
          local === undefined ? limiter.take(owner, units) : local.takeAt(call.startedOn(local.clock), owner, units);
        if (decision instanceof Promise) return call.wait(decision.then((late) => letIn(judge(ctx, owner, late))));
        const refused = judge(ctx, owner, decision);
        if (refused !== undefined) call.refuse(refused);
      },
    };
    return guarded(guard, next, method);
  };
  const telling: Policy = {
    name: "rate_limit",
    metrics: [CALLS],
    measure(to) {
      const about = { "flotilla.rate_limit.policy": policy };
      to(CALLS, counts.admitted, { ...about, outcome: "admitted" });
      to(CALLS, counts.refused, { ...about, outcome: "refused" });
    },
    describe: () => [{ name: policy, limit: limiter.limit, windowMs: limiter.windowMs, ...counts }],
  };
  const limiting = Object.defineProperties(middleware, {
    limiter: { value: limiter },
    admitted: { get: () => counts.admitted },
    refused: { get: () => counts.refused },
  }) as unknown as RateLimit;
  return withPolicies(limiting, [telling, ...(limiter.policies ?? [])]);
}

function letIn(refused: ServiceError | undefined): void {
  if (refused !== undefined) throw refused;
}

/** The limiter given, or one of its own. */
export function limiterOf(who: string, options: RateLimiterOptions & { readonly limiter?: RateLimiter }): RateLimiter {
  const { limiter } = options;
  if (limiter === undefined) return gcra(options);
  for (const name of ["limit", "windowMs", "perSecond", "burst", "maxKeys", "clock"] as const) {
    if (options[name] !== undefined) throw new TypeError(`${who}: ${name} is an option of the limiter that is given`);
  }
  return limiter;
}

/** @throws RangeError when a cost that is the same for all calls can never pass. */
export function checkFixedCost(who: string, cost: RateLimitCost, { burst }: RateLimiter): void {
  if (typeof cost === "function" || (cost > 0 && cost <= burst)) return;
  throw new RangeError(`${who}: cost must be above 0 and at most the limiter's burst of ${burst}, got ${cost}`);
}

/** The error of a call that could never pass. */
export function tooCostly(policy: string, units: number, { burst }: RateLimiter): ServiceError {
  return new ServiceError(
    "resource_exhausted",
    `the call costs ${units} units, and rate limit "${policy}" never admits more than ${burst} at once`,
    { retry: { never: true }, details: [reason(policy)] },
  );
}

function refusal(policy: string, { limit, windowMs }: RateLimiter, afterMs: number): ServiceError {
  return withoutStack("resource_exhausted", `over rate limit "${policy}" of ${limit} per ${windowMs / 1000} s`, {
    retry: { afterMs },
    details: [reason(policy)],
  });
}

/** The detail by which callers tell this from other kinds of exhaustion. */
export function reason(policy: string): ReturnType<typeof errorInfo> {
  return errorInfo({ reason: RATE_LIMITED, domain: FLOTILLA_DOMAIN, metadata: { policy } });
}
