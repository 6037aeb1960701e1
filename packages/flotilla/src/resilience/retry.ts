import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import { systemRandom } from "../clock/random.ts";
import { systemClock } from "../clock/system-clock.ts";
import type { Context } from "../context/context.ts";
import { sleep } from "../context/sleep.ts";
import { remainingMs, withValue } from "../context/with.ts";
import { type Attempts, attemptsKey } from "../endpoint/attempt.ts";
import type { Endpoint, Middleware } from "../endpoint/endpoint.ts";
import { type Code, isCode } from "../errors/code.ts";
import { ServiceError } from "../errors/service-error.ts";
import { RetryBudget } from "./retry-budget.ts";

/** Options of {@link retry}. */
export interface RetryOptions {
  /** Attempts in all, the first included. 1 or more. Default 3. */
  readonly maxAttempts?: number;
  /** Codes worth another attempt. Default `unavailable` alone. */
  readonly codes?: readonly Code[];
  /** Upper bound of the wait before the second attempt, milliseconds; doubles with each further one. Default 20. */
  readonly baseMs?: number;
  /** Upper bound of any wait, milliseconds. Default 1000. */
  readonly maxMs?: number;
  /** What bounds the retries in all. Default: a new {@link RetryBudget} for each service called. */
  readonly budget?: RetryBudget;
  readonly random?: Random;
  /** What the default budgets are measured on. Default: the system's clock. */
  readonly clock?: Clock;
}

/**
 * Tries calls again that failed for a passing reason, on another instance where there is one. Calls whose requests stream are
 * not repeated, and a stream of responses is not once it has begun.
 *
 * Retried are idempotent methods, and calls that provably never reached a handler; only within the budget (which the first
 * retry of a call that reached nobody does not use) and the deadline; never against the server's word (`retry.never`), and not before the time it names. Waits are random between 0 and
 * `min(maxMs, baseMs * 2^n)` ("full jitter", AWS Architecture Blog, Exponential Backoff and Jitter), on top of the time named.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function retry(options: RetryOptions = {}): Middleware {
  const { maxAttempts = 3, baseMs = 20, maxMs = 1000, random = systemRandom, clock = systemClock } = options;
  if (!(maxAttempts >= 1)) throw new RangeError(`retry: maxAttempts must be 1 or more, got ${maxAttempts}`);
  if (!(baseMs >= 0)) throw new RangeError(`retry: baseMs must be 0 or more, got ${baseMs}`);
  if (!(maxMs >= 0)) throw new RangeError(`retry: maxMs must be 0 or more, got ${maxMs}`);
  const codes: ReadonlySet<Code> = new Set(options.codes ?? ["unavailable"]);
  for (const code of codes)
    if (!isCode(code)) throw new RangeError(`retry: codes has ${String(code)}, which is no code`);
  const budgets = new Map<string, RetryBudget>();

  return (next, method) => {
    const repeatable = method.kind === "unary" || method.kind === "server_stream";
    if (!repeatable || maxAttempts === 1) return next;
    const budget = options.budget ?? budgets.get(method.service) ?? new RetryBudget({ clock });
    budgets.set(method.service, budget);

    const lawful = (error: ServiceError): boolean =>
      error.retry?.never !== true &&
      (error.retry?.unprocessed === true || (method.idempotent && codes.has(error.code)));

    async function again<Req, Res>(
      ctx: Context,
      request: Req,
      endpoint: Endpoint<Req, Res>,
      first: unknown,
    ): Promise<Res> {
      let failure = first;
      for (let attempt = 1; attempt < maxAttempts; attempt++) {
        const error = ServiceError.from(failure);
        if (!lawful(error)) throw error;
        const jitter = random.next() * Math.min(maxMs, baseMs * 2 ** (attempt - 1));
        // Not the later of the two: all that were told the same time would come back at once.
        const wait = jitter + (error.retry?.afterMs ?? 0);
        if (ctx.err !== undefined || wait >= remainingMs(ctx)) throw error;
        // A call that reached nobody has loaded nobody: when an instance dies, all its calls may go elsewhere, once.
        const free = attempt === 1 && error.retry?.unprocessed === true;
        if (!free && !budget.withdraw()) throw error;
        await sleep(ctx, wait);
        try {
          return await endpoint(ctx, request);
        } catch (thrown) {
          failure = thrown;
        }
      }
      throw failure;
    }

    return function retrying(ctx, request) {
      budget.deposit();
      const attempts: Attempts = { count: 0, tried: undefined };
      const inner = withValue(ctx, attemptsKey, attempts);
      return next(inner, request).catch((error: unknown) => again(inner, request, next, error));
    };
  };
}
