import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import { systemRandom } from "../clock/random.ts";
import { systemClock } from "../clock/system-clock.ts";
import type { Context } from "../context/context.ts";
import { sleep } from "../context/sleep.ts";
import { remainingMs, withValue } from "../context/with.ts";
import { type Attempts, attemptsKey } from "../endpoint/attempt.ts";
import { type Middleware, withPolicies } from "../endpoint/endpoint.ts";
import { type Guard, type GuardedCall, guarded } from "../endpoint/guard.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import { type Code, isCode } from "../errors/code.ts";
import { refusalReason } from "../errors/details.ts";
import { type FailedAttempt, ServiceError } from "../errors/service-error.ts";
import { listing, reportsOf } from "./failed-attempts.ts";
import { isPerTryTimeout, perTry } from "./per-try.ts";
import { DEADLINE_TOO_NEAR } from "./refusal.ts";
import { RetryBudget } from "./retry-budget.ts";
import { RetryPolicy } from "./retry-policy.ts";

/** Where retries are charged: one budget, or one for each service. */
export type Budgets = RetryBudget | ((service: string) => RetryBudget);

/** Options of {@link retry}. */
export interface RetryOptions {
  /** Attempts in all, the first included. 1 or more. Default 3. */
  readonly maxAttempts?: number;
  /** Codes worth another attempt. Default `unavailable` alone. */
  readonly codes?: readonly Code[];
  /**
   * Time for one unary attempt, milliseconds, above 0: then it is cancelled, and another is made if the deadline of the call leaves
   * time. Only for idempotent methods. Default: an attempt may take all the time there is.
   */
  readonly perTryTimeoutMs?: number;
  /**
   * Whether a method may be called twice although its contract does not say that it is idempotent. Think of two bookings for one.
   * Default: never.
   */
  readonly alsoRetry?: (method: MethodInfo) => boolean;
  /** Upper bound of the wait before the second attempt, milliseconds; doubles with each further one. Default 20. */
  readonly baseMs?: number;
  /** Upper bound of any wait, milliseconds. Default 1000. */
  readonly maxMs?: number;
  /** What bounds the retries in all. Default: a new {@link RetryBudget} for each service called. */
  readonly budget?: Budgets;
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
 * What fails although it was tried again lists every attempt (`error.attempts`) and says `retry.never`: whoever called us
 * does not try again what we have tried already, so that layers of retries do not multiply.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function retry(options: RetryOptions = {}): Middleware {
  const { maxAttempts = 3, baseMs = 20, maxMs = 1000, random = systemRandom, clock = systemClock } = options;
  if (!(Number.isInteger(maxAttempts) && maxAttempts >= 1)) {
    throw new RangeError(`retry: maxAttempts must be a whole number, 1 or more, got ${maxAttempts}`);
  }
  if (!(baseMs >= 0)) throw new RangeError(`retry: baseMs must be 0 or more, got ${baseMs}`);
  if (!(maxMs >= 0)) throw new RangeError(`retry: maxMs must be 0 or more, got ${maxMs}`);
  const codes: ReadonlySet<Code> = new Set(options.codes ?? ["unavailable"]);
  for (const code of codes)
    if (!isCode(code)) throw new RangeError(`retry: codes has ${String(code)}, which is no code`);
  const { perTryTimeoutMs = Infinity, alsoRetry } = options;
  if (!(perTryTimeoutMs > 0)) throw new RangeError(`retry: perTryTimeoutMs must be above 0, got ${perTryTimeoutMs}`);
  const budgetOf = budgetsOf(options.budget, clock);
  const policy = new RetryPolicy();

  const middleware: Middleware = (next, method) => {
    const repeatable = method.kind === "unary" || method.kind === "server_stream";
    if (!repeatable || maxAttempts === 1) return next;
    const idempotent = method.idempotent || alsoRetry?.(method) === true;
    const budget = budgetOf(method.service);
    const counts = policy.of(method.service, budget);
    const attempt =
      perTryTimeoutMs < Infinity && idempotent && method.kind === "unary" ? perTry(next, perTryTimeoutMs) : next;

    const lawful = (error: ServiceError): boolean =>
      error.retry?.never !== true &&
      (error.retry?.unprocessed === true || (idempotent && (codes.has(error.code) || isPerTryTimeout(error))));

    /** The call having failed once, makes it anew as long as that is lawful. */
    async function repeat<Res>(
      ctx: Context,
      first: unknown,
      { startedMs, endedMs }: GuardedCall,
      again: (ctx: Context) => Promise<Res>,
    ): Promise<Res> {
      const attempts = ctx.value(attemptsKey)!;
      let error = ServiceError.from(first);
      if (!lawful(error)) throw error;
      const reports = reportsOf(error, attempts.instance, startedMs, startedMs, endedMs);
      for (let n = 1; n < maxAttempts; n++) {
        const jitter = random.next() * Math.min(maxMs, baseMs * 2 ** (n - 1));
        // Not the later of the two: all that were told the same time would come back at once.
        const wait = jitter + (error.retry?.afterMs ?? 0);
        if (ctx.err !== undefined || wait >= remainingMs(ctx)) {
          if (ctx.err?.code !== "canceled") counts.givenUp.deadline++;
          throw n === 1 ? error : spent(error, reports);
        }
        // A call that reached nobody has loaded nobody: when an instance dies, all its calls may go elsewhere, once.
        const free = n === 1 && error.retry?.unprocessed === true;
        if (!free && !budget.withdraw()) {
          counts.givenUp.budget++;
          throw spent(error, reports);
        }
        await sleep(ctx, wait);
        const beganMs = ctx.clock.now();
        try {
          const response = await again(ctx);
          counts.attempts++;
          return response;
        } catch (thrown) {
          const next = ServiceError.from(thrown);
          // Not sent, for there was too little time: what the last attempt failed with tells more.
          if (refusalReason(next) === DEADLINE_TOO_NEAR && next.retry?.unprocessed === true) {
            counts.givenUp.deadline++;
            throw spent(error, reports);
          }
          counts.attempts++;
          error = next;
          reports.push(...reportsOf(error, attempts.instance, startedMs, beganMs, ctx.clock.now()));
          if (!lawful(error)) throw listing(error, reports);
        }
      }
      counts.givenUp.attempts++;
      throw spent(error, reports);
    }

    const guard: Guard<Context> = {
      name: "retrying",
      enter(call) {
        budget.deposit(call.startedOn(budget.clock));
        const attempts: Attempts = { count: 0, first: undefined, tried: undefined, instance: undefined };
        return (call.ctx = withValue(call.ctx, attemptsKey, attempts));
      },
      recover: (call, ctx, error, again) => repeat(ctx, error, call, again),
    };
    return guarded(guard, attempt, method);
  };
  return withPolicies(middleware, [policy]);
}

/** The budget of each service: the one given, else one made when it is first asked for. */
export function budgetsOf(given: Budgets | undefined, clock: Clock): (service: string) => RetryBudget {
  if (typeof given === "function") return given;
  if (given !== undefined) return () => given;
  const budgets = new Map<string, RetryBudget>();
  return (service) => {
    let budget = budgets.get(service);
    if (budget === undefined) budgets.set(service, (budget = new RetryBudget({ clock })));
    return budget;
  };
}

/** The error a call ends with, telling of all attempts; nobody is to go on with them. */
function spent(error: ServiceError, attempts: readonly FailedAttempt[]): ServiceError {
  return listing(error, attempts, { ...error.retry, never: true });
}
