import type { Clock } from "../../clock/clock.ts";
import { type Random, systemRandom } from "../../clock/random.ts";
import { systemClock } from "../../clock/system-clock.ts";
import { type Endpoint, type Middleware, withPolicies } from "../../endpoint/endpoint.ts";
import { type Guard, guarded } from "../../endpoint/guard.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { isOverdue } from "../../endpoint/stream.ts";
import { refusalReason } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { isFailure } from "../failure.ts";
import { RATE_LIMITED } from "../rate-limit/rate-limit.ts";
import { DEADLINE_TOO_NEAR, OVERLOADED, refusal } from "../refusal.ts";
import { Breaker, type BreakerState } from "./breaker.ts";
import { BreakerPolicy } from "./breaker-policy.ts";
import { consecutive, type TripFactory } from "./trip.ts";

/** Options of {@link circuitBreaker}. */
export interface CircuitBreakerOptions {
  /** When it opens: `consecutive(n)`, `countWindow(…)` or `timeWindow(…)`. Default `consecutive(5)`. */
  readonly trip?: TripFactory;
  /** How long it stays open at first, milliseconds, above 0; each time by chance from half to one and a half of it. Default 5000. */
  readonly openMs?: number;
  /** The opening time doubles each time the probes fail, up to this. Default 60000. */
  readonly maxOpenMs?: number;
  /** Probes at a time when it is half open, and successes needed to close. 1 or more. Default 1. */
  readonly probes?: number;
  /** One for each method, or one for all methods of a service. Default `method`. */
  readonly per?: "method" | "service";
  /** Which errors are failures of the one called. Default: not those the caller is to blame for, and not cancellations. */
  readonly isFailure?: (error: unknown) => boolean;
  /** Told of every change of state. Must not throw. */
  readonly onChange?: (state: BreakerState) => void;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** A middleware whose breakers can be looked at. */
export interface CircuitBreaker extends Middleware {
  /** One a method or service it was put around. */
  readonly breakers: readonly BreakerState[];
}

/** The reason in the error detail of calls that a breaker refused. */
export const CIRCUIT_OPEN = "CIRCUIT_OPEN";

/**
 * Refuses calls at once, as `unavailable` with the reason `CIRCUIT_OPEN`, while those before them failed. Refusals count for
 * nothing, late answers of an earlier state neither; what the caller did wrong is no failure, and neither is what the one called refuses
 * because it is overloaded or a quota is used up. A stream has succeeded when it has
 * ended well; as a probe, with its first word, and how long it lasts tells nothing. A probe that says nothing for as long as the circuit was
 * open lets another one through.
 *
 * For one instance of many put it into the channel's `perInstance`: a refusal then goes to another instance.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function circuitBreaker(options: CircuitBreakerOptions = {}): CircuitBreaker {
  const { trip = consecutive(), openMs = 5000, probes = 1, per = "method", onChange } = options;
  const { maxOpenMs = Math.max(60_000, openMs), clock = systemClock, random = systemRandom } = options;
  const { isFailure: fails = isFailure } = options;
  if (!(openMs > 0 && openMs < Infinity)) {
    throw new RangeError(`circuitBreaker: openMs must be above 0 and finite, got ${openMs}`);
  }
  if (!(maxOpenMs >= openMs))
    throw new RangeError(`circuitBreaker: maxOpenMs must not be below openMs, got ${maxOpenMs}`);
  if (!(Number.isInteger(probes) && probes >= 1)) {
    throw new RangeError(`circuitBreaker: probes must be a whole number above 0, got ${probes}`);
  }
  if (per !== "method" && per !== "service") {
    throw new RangeError(`circuitBreaker: per must be "method" or "service", got ${JSON.stringify(per)}`);
  }
  const breakers = new Map<string, Breaker>();
  const policy = new BreakerPolicy(per, breakers);
  const changed = (state: BreakerState): void => {
    policy.changed(state);
    onChange?.(state);
  };
  const settings = { trip, openMs, maxOpenMs, probes, clock, random, onChange: changed };

  const middleware = <Req, Res>(next: Endpoint<Req, Res>, method: MethodInfo): Endpoint<Req, Res> => {
    const name = per === "method" ? method.procedure : method.service;
    let breaker = breakers.get(name);
    if (breaker === undefined) breakers.set(name, (breaker = new Breaker(name, settings)));
    return guarded(breaking(breaker, method, clock, fails), next, method);
  };
  const refuses: Middleware["refuses"] = (_ctx, { procedure, service }) => {
    const breaker = breakers.get(per === "method" ? procedure : service);
    return breaker?.refuses() === true ? open(breaker.state) : undefined;
  };
  const circuit = Object.defineProperties(middleware, {
    breakers: { get: () => Array.from(breakers.values(), (breaker) => breaker.state) },
    refuses: { value: refuses },
  }) as unknown as CircuitBreaker;
  return withPolicies(circuit, [policy]);
}

function breaking(
  breaker: Breaker,
  { kind }: MethodInfo,
  clock: Clock,
  fails: (error: unknown) => boolean,
): Guard<number> {
  const streams = kind !== "unary";
  return {
    name: "breaking",
    enter(call) {
      const entered = breaker.enter();
      return entered < 0 ? call.refuse(open(breaker.state)) : entered;
    },
    begun: (_call, entered) => breaker.begun(entered),
    leave(call, entered, error) {
      const nowMs = call.endedOn(clock);
      const nothing = error !== undefined && (tellsNothing(error) || (call.begun && isOverdue(call.ctx, error)));
      // Who asked for what cannot be got an answer, and the one called is well.
      const failed = error !== undefined && !nothing && fails(error);
      if (call.begun) {
        if (!nothing) breaker.recordStream(entered, failed, nowMs);
      } else if (nothing) breaker.dismiss(entered);
      // A stream is not slow, however long it was.
      else breaker.record(entered, failed, streams ? 0 : call.durationMs, nowMs);
    },
  };
}

/**
 * Refusals that say nothing of whether the one called is well. One that is overloaded refuses most calls and serves as many as it can:
 * a breaker would stop these, too, of every instance in turn. The client throttle holds back what is too much.
 */
const wellMeant: ReadonlySet<string | undefined> = new Set([DEADLINE_TOO_NEAR, OVERLOADED, RATE_LIMITED]);

function tellsNothing(error: unknown): boolean {
  return ServiceError.from(error).code === "canceled" || wellMeant.has(refusalReason(error));
}

/** Nothing was sent, so another instance may be asked. */
const UNPROCESSED = { unprocessed: true } as const;

function open({ name, state, reason, nextProbeMs = 0 }: BreakerState): ServiceError {
  const when = state === "open" ? `next probe in ${Math.ceil(nextProbeMs)} ms` : "a probe is under way";
  return refusal("unavailable", CIRCUIT_OPEN, `the circuit of ${name} is open: ${reason}; ${when}`, UNPROCESSED);
}
