import type { Clock, Timer } from "../clock/clock.ts";
import { systemClock } from "../clock/system-clock.ts";
import type { CancelContext, Context } from "../context/context.ts";
import { withCancel, withValue } from "../context/with.ts";
import { type Attempts, attemptsKey } from "../endpoint/attempt.ts";
import { type Endpoint, type Middleware, withPolicies } from "../endpoint/endpoint.ts";
import { type Code, isCode } from "../errors/code.ts";
import { type FailedAttempt, ServiceError } from "../errors/service-error.ts";
import { listing, reportsOf } from "./failed-attempts.ts";
import { type HedgeCounts, HedgePolicy } from "./hedge-policy.ts";
import { LatencyQuantile } from "./latency-quantile.ts";
import { type Budgets, budgetsOf } from "./retry.ts";
import type { RetryBudget } from "./retry-budget.ts";

/** Options of {@link hedge}. */
export interface HedgeOptions {
  /** After this quantile of the latencies measured another attempt is made, 0 to 1, both excluded. Default 0.95. */
  readonly quantile?: number;
  /** But no sooner than this, milliseconds, 0 or more. Default 1. */
  readonly minDelayMs?: number;
  /** After this time instead, milliseconds; also while too little was measured. Default: as measured, and no hedge until 100 calls were. */
  readonly delayMs?: number;
  /** Attempts in all, the first included. 2 or more. Default 2. */
  readonly maxAttempts?: number;
  /** Failures that send the next attempt at once, instead of being the answer. Default `unavailable` alone. */
  readonly codes?: readonly Code[];
  /** What the further attempts are charged to; share it with `retry`. Default: a new one for each service. */
  readonly budget?: Budgets;
  readonly clock?: Clock;
}

const MIN_CALLS = 100;
const REFRESH_MS = 3000;

/**
 * Does not wait for the slowest: when a call takes longer than most, the same is asked of another instance, and the first answer
 * counts. The others are cancelled. What fails in several attempts lists them all (`error.attempts`). Only unary methods that are idempotent, and within the budget, so that when everything is slow
 * at most a fifth more is asked.
 *
 * Put it inside of `retry`, sharing its budget (a channel with `hedge` does): a retry then repeats the whole hedged call.
 *
 * Algorithm: hedged requests (Dean and Barroso, "The Tail at Scale", CACM 56(2), 2013), with the rules of gRPC's proposal A6.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function hedge(options: HedgeOptions = {}): Middleware {
  const { quantile = 0.95, minDelayMs = 1, delayMs, maxAttempts = 2, clock = systemClock } = options;
  if (!(quantile > 0 && quantile < 1)) throw new RangeError(`hedge: quantile must be between 0 and 1, got ${quantile}`);
  if (!(minDelayMs >= 0)) throw new RangeError(`hedge: minDelayMs must be 0 or more, got ${minDelayMs}`);
  if (delayMs !== undefined && !(delayMs >= 0))
    throw new RangeError(`hedge: delayMs must be 0 or more, got ${delayMs}`);
  if (!(maxAttempts >= 2)) throw new RangeError(`hedge: maxAttempts must be 2 or more, got ${maxAttempts}`);
  const codes: ReadonlySet<Code> = new Set(options.codes ?? ["unavailable"]);
  for (const code of codes)
    if (!isCode(code)) throw new RangeError(`hedge: codes has ${String(code)}, which is no code`);
  const budgetOf = budgetsOf(options.budget, clock);
  const policy = new HedgePolicy();

  const middleware: Middleware = (next, method) => {
    if (method.kind !== "unary" || !method.idempotent) return next;
    const measured = new LatencyQuantile(clock, quantile, MIN_CALLS, REFRESH_MS);
    const budget = budgetOf(method.service);
    const counts = policy.of(method.service);
    return function hedged(ctx, request) {
      const wait = delayMs ?? measured.valueMs;
      const startedMs = clock.now();
      const record = (): void => measured.record(clock.now() - startedMs);
      if (wait === undefined) {
        return next(ctx, request).then((response) => {
          record();
          return response;
        });
      }
      return new Promise((resolve, reject) => {
        const waitMs = Math.max(minDelayMs, wait);
        const call = new HedgedCall(next, { waitMs, maxAttempts, codes, budget, counts, record, clock, startedMs });
        call.start(ctx, request, resolve, reject);
      });
    };
  };
  return withPolicies(middleware, [policy]);
}

interface HedgePlan {
  readonly waitMs: number;
  readonly maxAttempts: number;
  readonly codes: ReadonlySet<Code>;
  readonly budget: RetryBudget;
  readonly counts: HedgeCounts;
  readonly record: () => void;
  readonly clock: Clock;
  readonly startedMs: number;
}

/** One attempt of a call. */
interface Attempt {
  readonly number: number;
  readonly scope: CancelContext;
  readonly attempts: Attempts;
  readonly beganMs: number;
}

/** One call, in as many attempts as it takes. */
class HedgedCall<Req, Res> {
  readonly #next: Endpoint<Req, Res>;
  readonly #plan: HedgePlan;
  readonly #running = new Set<Attempt>();
  /** What those that failed had to say, in the order in which they ended. */
  readonly #reports: FailedAttempt[] = [];
  #begun = 0;
  #over = false;
  #stopped = false;
  #timer: Timer | undefined;
  #ctx!: Context;
  #request!: Req;
  #outer: Attempts | undefined;
  #tried: Set<unknown> | undefined;
  #resolve!: (response: Res) => void;
  #reject!: (error: unknown) => void;

  constructor(next: Endpoint<Req, Res>, plan: HedgePlan) {
    this.#next = next;
    this.#plan = plan;
  }

  start(ctx: Context, request: Req, resolve: (response: Res) => void, reject: (error: unknown) => void): void {
    this.#ctx = ctx;
    this.#request = request;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#outer = ctx.value(attemptsKey);
    // What an earlier try of a retry around this has tried is avoided as well.
    this.#tried = this.#outer === undefined ? new Set() : (this.#outer.tried ??= new Set());
    this.#attempt();
  }

  #attempt(): void {
    const number = ++this.#begun;
    const { clock, startedMs } = this.#plan;
    const scope = withCancel(this.#ctx);
    const attempts: Attempts = { count: 0, first: undefined, tried: this.#tried, instance: undefined };
    const attempt = { number, scope, attempts, beganMs: number === 1 ? startedMs : clock.now() };
    this.#running.add(attempt);
    let pending: Promise<Res>;
    try {
      pending = this.#next(withValue(scope, attemptsKey, attempts), this.#request);
    } catch (error) {
      pending = Promise.reject(error);
    }
    pending.then(
      (response) => {
        if (this.#over) return;
        this.#plan.record();
        if (number > 1) this.#plan.counts.won++;
        this.#end(attempt);
        this.#resolve(response);
      },
      (error: unknown) => this.#failed(attempt, error),
    );
    this.#arm();
  }

  /** Waits for the time of the next attempt. */
  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#over || this.#stopped || this.#begun >= this.#plan.maxAttempts) return;
    this.#timer = this.#ctx.clock.schedule(this.#plan.waitMs, () => this.#another());
  }

  #another(): boolean {
    if (this.#over || this.#stopped || this.#begun >= this.#plan.maxAttempts || this.#ctx.err !== undefined)
      return false;
    const { budget, counts } = this.#plan;
    if (!budget.withdraw()) {
      counts.givenUp++;
      return false;
    }
    counts.sent++;
    this.#attempt();
    return true;
  }

  #failed(attempt: Attempt, thrown: unknown): void {
    this.#running.delete(attempt);
    if (this.#over) return;
    attempt.scope.cancel();
    const error = ServiceError.from(thrown);
    this.#report(attempt, error);
    if (this.#outer !== undefined) this.#outer.instance = attempt.attempts.instance;
    // It reached nobody: what the others answer counts.
    if (error.retry?.unprocessed === true && error.retry.never === true && this.#running.size > 0) return;
    // The server's word: no more of this.
    if (error.retry?.never === true || error.retry?.afterMs !== undefined) this.#stopped = true;
    const passing = this.#plan.codes.has(error.code) && error.retry?.never !== true;
    if (passing && (this.#another() || this.#running.size > 0)) return;
    this.#end(undefined);
    const inOrder = this.#reports.toSorted((a, b) => a.afterMs - b.afterMs);
    this.#reject(this.#begun === 1 ? thrown : listing(error, inOrder));
  }

  /** Takes down an attempt that has ended, or is cut short. */
  #report({ attempts, beganMs }: Attempt, error: ServiceError): void {
    const { clock, startedMs } = this.#plan;
    this.#reports.push(...reportsOf(error, attempts.instance, startedMs, beganMs, clock.now()));
  }

  /** Nothing more is waited for; those that still run are cancelled. */
  #end(winner: Attempt | undefined): void {
    this.#over = true;
    this.#timer?.cancel();
    const why =
      winner === undefined ? "another attempt of the call failed for good" : "another attempt of the call has answered";
    for (const attempt of this.#running) {
      const canceled = attempt === winner ? undefined : new ServiceError("canceled", why);
      if (winner === undefined) this.#report(attempt, canceled!);
      attempt.scope.cancel(canceled);
    }
    this.#running.clear();
  }
}
