import type { Context } from "../../context/context.ts";
import type { Endpoint, Middleware } from "../../endpoint/endpoint.ts";
import { errorInfo } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { serverCall } from "../../metadata/call.ts";
import type { Decision, RateLimiter } from "./rate-limiter.ts";

/** Options of {@link rateLimit}. */
export interface RateLimitOptions {
  /** `tokenBucket({ limit: 100 })`, `gcra(…)`, `slidingWindow(…)`, or one that is shared between processes. */
  readonly limiter: RateLimiter;
  /** Whose quota a call is counted against: a tenant, a token, an address. Default: one quota for all. */
  readonly key?: (ctx: Context) => string;
  /** What a call costs; above 0. Default 1. */
  readonly cost?: (ctx: Context, request: unknown) => number;
  /** Name of the policy in the headers; letters, digits, `-` and `_`. Default `default`. */
  readonly policy?: string;
}

/** The reason in the error detail of calls over their quota. */
export const RATE_LIMITED = "RATE_LIMITED";

/** Keys are cut off here: who chooses the key must not choose how much of it is kept. */
const MAX_KEY_LENGTH = 256;

/**
 * Refuses what is over a quota, as `resource_exhausted` with the time to wait (`retry-after`), and tells every caller how it stands
 * in the headers `ratelimit-policy` and `ratelimit` (draft-ietf-httpapi-ratelimit-headers-10). For servers; for calls one makes see
 * `pace`.
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function rateLimit({ limiter, key = () => "", cost, policy = "default" }: RateLimitOptions): Middleware {
  if (!/^[\w-]+$/.test(policy)) {
    throw new TypeError(`rateLimit: policy must be of letters, digits, "-" and "_", got ${JSON.stringify(policy)}`);
  }
  const { limit, windowMs } = limiter.quota;
  const policyHeader = `"${policy}";q=${Math.floor(limit)};w=${Math.ceil(windowMs / 1000)}`;

  return <Req, Res>(next: Endpoint<Req, Res>): Endpoint<Req, Res> => {
    const go = (ctx: Context, request: Req, decision: Decision): Promise<Res> => {
      const headers = serverCall(ctx)?.responseHeaders;
      // Not later than what Retry-After says of the same moment.
      const resets = Math.ceil((decision.allowed ? decision.resetMs : decision.retryAfterMs) / 1000);
      headers?.append("ratelimit-policy", policyHeader);
      headers?.append("ratelimit", `"${policy}";r=${decision.remaining};t=${resets}`);
      return decision.allowed ? next(ctx, request) : Promise.reject(refusal(decision, policy));
    };
    return function rateLimited(ctx, request) {
      const decision = limiter.take(key(ctx).slice(0, MAX_KEY_LENGTH), cost?.(ctx, request));
      return decision instanceof Promise
        ? decision.then((decided) => go(ctx, request, decided))
        : go(ctx, request, decision);
    };
  };
}

function refusal({ limit, retryAfterMs }: Decision, policy: string): ServiceError {
  const depth = Error.stackTraceLimit;
  // Refusing must cost next to nothing, and a stack trace would say nothing.
  Error.stackTraceLimit = 0;
  const waitMs = Math.ceil(retryAfterMs);
  const error = new ServiceError(
    "resource_exhausted",
    `over the quota "${policy}" of ${limit}: try again in ${waitMs} ms`,
    {
      details: [errorInfo({ reason: RATE_LIMITED, domain: "flotilla" })],
      retry: { afterMs: waitMs },
    },
  );
  Error.stackTraceLimit = depth;
  return error;
}
