import type { Clock } from "../clock/clock.ts";
import { type Random, systemRandom } from "../clock/random.ts";
import { systemClock } from "../clock/system-clock.ts";
import type { Middleware } from "../endpoint/endpoint.ts";
import { type ClientThrottleOptions, clientThrottle } from "../resilience/client-throttle.ts";
import { deadline } from "../resilience/deadline.ts";
import { type DeadlineCheckOptions, deadlineCheck } from "../resilience/deadline-check.ts";
import { type HedgeOptions, hedge } from "../resilience/hedge.ts";
import { type ConcurrencyLimitOptions, concurrencyLimit } from "../resilience/overload/concurrency-limit.ts";
import { budgetsOf, type RetryOptions, retry } from "../resilience/retry.ts";

/** Options of {@link clientDefaults}; a channel takes them as its own. */
export interface ClientDefaultsOptions {
  /** Deadline of unary calls whose caller sets no earlier one, milliseconds; `false` for none. Default 10000. */
  readonly timeoutMs?: number | false;
  readonly throttle?: ClientThrottleOptions | false;
  readonly retry?: RetryOptions | false;
  readonly hedge?: HedgeOptions | false;
  readonly deadlineCheck?: DeadlineCheckOptions | false;
  /** Middlewares around each attempt, before an instance is picked for it, the first outermost. Default none. */
  readonly perAttempt?: readonly Middleware[];
  readonly clock?: Clock;
  readonly random?: Random;
}

/**
 * What every channel puts around a call, outermost first:
 *
 * 1. deadline: bounds all that follows, the waits between retries included;
 * 2. throttle: outside of retry, so that it sees each call once and its refusals are not tried again;
 * 3. retry: each try picks an instance of its own;
 * 4. hedge, if asked for: inside of retry, charged to the same budget;
 * 5. `perAttempt`, if given: what each attempt costs, as one of a quota of theirs;
 * 6. deadline check: around each attempt, so that none is sent that cannot end in time, whatever it has waited for.
 */
export function clientDefaults(options: ClientDefaultsOptions = {}): readonly Middleware[] {
  const { timeoutMs = 10_000, clock = systemClock, random = systemRandom } = options;
  const stack: Middleware[] = [];
  if (timeoutMs !== false) stack.push(deadline(timeoutMs));
  if (options.throttle !== false) stack.push(clientThrottle({ clock, random, ...options.throttle }));
  const budget = budgetsOf(options.retry === false ? undefined : options.retry?.budget, clock);
  if (options.retry !== false) stack.push(retry({ clock, random, ...options.retry, budget }));
  if (options.hedge) stack.push(hedge({ clock, budget, ...options.hedge }));
  stack.push(...(options.perAttempt ?? []));
  if (options.deadlineCheck !== false) stack.push(deadlineCheck({ side: "client", ...options.deadlineCheck }));
  return stack;
}

/** Options of {@link serverDefaults}. */
export interface ServerDefaultsOptions {
  /** How calls are told that cannot end in time; `false` to serve them. Default: see {@link DeadlineCheckOptions}. */
  readonly deadlineCheck?: DeadlineCheckOptions | false;
  /** How many calls are served at a time; `false` for any number. Default: see {@link ConcurrencyLimitOptions}. */
  readonly limit?: ConcurrencyLimitOptions | false;
  readonly clock?: Clock;
}

/**
 * What every host puts around all it serves, outermost first, so that refusing a call costs nothing of what stands inside, neither
 * validation nor the middlewares of a service:
 *
 * 1. deadline check: what cannot end in time takes no place that another call could use, and no part in what the limit learns;
 * 2. a limit that finds out how many calls at a time are of use.
 */
export function serverDefaults(options: ServerDefaultsOptions = {}): readonly Middleware[] {
  const { clock = systemClock, limit } = options;
  const stack: Middleware[] = [];
  if (options.deadlineCheck !== false) stack.push(deadlineCheck(options.deadlineCheck));
  if (limit !== false) stack.push(concurrencyLimit({ clock, ...limit }));
  return stack;
}
