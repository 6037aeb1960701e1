import type { Context } from "../../context/context.ts";
import { type Endpoint, type Middleware, withPolicies } from "../../endpoint/endpoint.ts";
import { type Guard, guarded } from "../../endpoint/guard.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { Policy, PolicyMetric } from "../../endpoint/policy.ts";
import { EgressLine, type Lines } from "./egress-line.ts";
import { boundedKey, type RateLimitKey } from "./keys.ts";
import type { Decision, RateLimiter } from "./limiter.ts";
import type { RateLimiterOptions } from "./options.ts";
import { checkFixedCost, limiterOf, type RateLimitCost, tooCostly } from "./rate-limit.ts";

/** Options of {@link egressLimit}: a limiter, or those of a limiter of its own. */
export interface EgressLimitOptions extends RateLimiterOptions {
  /** Who decides. Default: `gcra` with the other options given here. */
  readonly limiter?: RateLimiter;
  /** Whose units a call takes. Default: one key for all calls. For one a service: `(_ctx, { service }) => service`. */
  readonly key?: RateLimitKey;
  /** Units that a call costs. Default 1. */
  readonly cost?: RateLimitCost;
  /** What the limit is called in errors. Default `egress`. */
  readonly policy?: string;
  /** Calls that may wait at the same time, over all keys; more fail at once. 0 or more. Default 1000. */
  readonly maxWaiting?: number;
}

/** A middleware that tells how it stands. */
export interface EgressLimit extends Middleware {
  readonly limiter: RateLimiter;
  /** Calls that wait for their turn now. */
  readonly waiting: number;
  /** Calls that failed without having been sent, because their turn would have come too late or too many waited. */
  readonly refused: number;
}

const WAITING: PolicyMetric = {
  name: "flotilla.egress_limit.waiting",
  kind: "sum",
  unit: "{call}",
  description: "Calls that wait for their turn.",
};
const REFUSED: PolicyMetric = {
  name: "flotilla.egress_limit.refused",
  kind: "counter",
  unit: "{call}",
  description: "Calls that failed because their turn would have come too late, or too many waited.",
};

/**
 * Keeps outgoing calls to a rate, such as the quota that a service grants: calls beyond it wait for their turn, first come first
 * served, within their deadline. One that could not be in time fails at once, as `resource_exhausted` that reached nobody,
 * with the time after which there is room; a call that is canceled leaves its place to the next.
 *
 * Of a call without a deadline nothing limits the wait but its cancellation: give it one further out. Streams take their units
 * once, when they begin. Put inside of `retry` every attempt takes its turn, which is what a quota asks for.
 *
 * ```ts
 * channel({ discover, use: [deadline(2000), egressLimit({ perSecond: 50, burst: 5 })] })
 * ```
 *
 * @throws RangeError or TypeError when an option is not legal, naming it.
 */
export function egressLimit(options: EgressLimitOptions): EgressLimit {
  const { key, cost = 1, policy = "egress", maxWaiting = 1000 } = options;
  const limiter = limiterOf("egressLimit", options);
  checkFixedCost("egressLimit", cost, limiter);
  if (!(maxWaiting >= 0)) throw new RangeError(`egressLimit: maxWaiting must be 0 or more, got ${maxWaiting}`);
  const lines: Lines = { limiter, policy, maxWaiting, waiting: 0, refused: 0, byKey: new Map() };

  const middleware = <Req, Res>(next: Endpoint<Req, Res>, method: MethodInfo): Endpoint<Req, Res> => {
    /** @returns the wait of a call whose turn is not yet. */
    function queue(ctx: Context, owner: string, units: number, decision: Decision): Promise<void> | undefined {
      if (decision.allowed) return undefined;
      // With a limiter that takes time, another call may have begun to wait meanwhile.
      const line = lines.byKey.get(owner) ?? new EgressLine(owner, lines);
      return line.wait(ctx, units, decision);
    }
    const guard: Guard = {
      name: "paced",
      enter(call) {
        const { ctx, request } = call;
        if (ctx.err !== undefined) return call.refuse(ctx.err);
        const given = key === undefined ? "" : key(ctx, method);
        if (given === undefined) return;
        const owner = boundedKey(given);
        const units = typeof cost === "number" ? cost : cost(ctx, request, method);
        if (units > limiter.burst) {
          lines.refused++;
          return call.refuse(tooCostly(policy, units, limiter));
        }
        const line = lines.byKey.get(owner);
        if (line !== undefined) return call.wait(line.wait(ctx, units, undefined));
        const decision = limiter.take(owner, units);
        if (decision instanceof Promise) return call.wait(decision.then((late) => queue(ctx, owner, units, late)));
        const turn = queue(ctx, owner, units, decision);
        if (turn !== undefined) call.wait(turn);
      },
    };
    return guarded(guard, next, method);
  };
  const telling: Policy = {
    name: "egress_limit",
    metrics: [WAITING, REFUSED],
    measure(to) {
      const about = { "flotilla.rate_limit.policy": policy };
      to(WAITING, lines.waiting, about);
      to(REFUSED, lines.refused, about);
    },
    describe() {
      const { limit, windowMs } = limiter;
      return [{ name: policy, limit, windowMs, waiting: lines.waiting, refused: lines.refused }];
    },
  };
  const pacing = Object.defineProperties(middleware, {
    limiter: { value: limiter },
    waiting: { get: () => lines.waiting },
    refused: { get: () => lines.refused },
  }) as unknown as EgressLimit;
  return withPolicies(pacing, [telling, ...(limiter.policies ?? [])]);
}
