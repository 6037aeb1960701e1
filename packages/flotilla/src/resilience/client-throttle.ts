import type { Clock } from "../clock/clock.ts";
import { type Random, systemRandom } from "../clock/random.ts";
import { systemClock } from "../clock/system-clock.ts";
import { type Endpoint, type Middleware, withPolicies } from "../endpoint/endpoint.ts";
import { type Guard, guarded } from "../endpoint/guard.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import type { Policy, PolicyMetric } from "../endpoint/policy.ts";
import { refusalReason } from "../errors/details.ts";
import { ServiceError } from "../errors/service-error.ts";
import { type Priority, priorities, priorityOf } from "../metadata/priority.ts";
import { RATE_LIMITED } from "./rate-limit/rate-limit.ts";
import { OVERLOADED, refusal } from "./refusal.ts";
import { SlidingCounts } from "./sliding-counts.ts";

/** Options of {@link clientThrottle}. */
export interface ClientThrottleOptions {
  /**
   * Calls are held back once there are more than so many for each that is accepted; above 1. Default 2: at worst as many are
   * refused by the target as are served, and it is soon seen when it is well again.
   */
  readonly ratio?: number;
  /** How far back calls count, milliseconds, above 0. Default 2000: about twice as long it takes to be over an overload. */
  readonly windowMs?: number;
  /** So many calls a window are never held back: a quiet client learns by trying. 0 or more. Default 2. */
  readonly floor?: number;
  /** The greatest chance of being held back, 0 to below 1: what is left finds out that the service is well again. Default 0.9. */
  readonly maxRefusing?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** How a throttle stands towards one service, with calls of one priority. */
export interface ThrottleState {
  readonly service: string;
  readonly priority: Priority;
  /** Chance of a call to be refused here and now, 0 to 1. */
  readonly refusing: number;
  /** Calls refused so far. */
  readonly refused: number;
}

/** A middleware that tells how it stands. */
export interface ClientThrottle extends Middleware {
  /** One a service and priority. */
  readonly services: readonly ThrottleState[];
}

/** The reason in the error detail of calls that were held back. */
export const CLIENT_THROTTLED = "CLIENT_THROTTLED";

const REFUSING: PolicyMetric = {
  name: "flotilla.throttle.refusing",
  kind: "greatest",
  unit: "1",
  description: "Chance of a call to be held back, because the service refuses many.",
};
const REFUSED: PolicyMetric = {
  name: "flotilla.throttle.refused",
  kind: "counter",
  unit: "{call}",
  description: "Calls that were held back.",
};

/** One service as the throttle sees it through calls of one priority. */
class Tally {
  readonly service: string;
  readonly priority: Priority;
  refused = 0;
  readonly #ratio: number;
  readonly #floor: number;
  readonly #max: number;
  readonly #asked: SlidingCounts;
  readonly #accepted: SlidingCounts;
  readonly #clock: Clock;

  constructor(service: string, priority: Priority, options: Required<ClientThrottleOptions>) {
    const { ratio, floor, windowMs, maxRefusing, clock } = options;
    this.service = service;
    this.priority = priority;
    this.#ratio = ratio;
    this.#floor = floor;
    this.#max = maxRefusing;
    const nowMs = clock.now();
    this.#asked = new SlidingCounts(windowMs, nowMs);
    this.#accepted = new SlidingCounts(windowMs, nowMs);
    this.#clock = clock;
  }

  ended(accepted: boolean, nowMs: number): void {
    this.#asked.add(1, nowMs);
    if (accepted) this.#accepted.add(1, nowMs);
  }

  get state(): ThrottleState {
    const { service, priority, refused } = this;
    return { service, priority, refusing: this.refusing(), refused };
  }

  refusing(nowMs: number = this.#clock.now()): number {
    const asked = this.#asked.total(nowMs);
    const excess = (asked - this.#floor - this.#ratio * this.#accepted.total(nowMs)) / (asked + 1);
    return Math.max(0, Math.min(this.#max, excess));
  }
}

/**
 * Holds calls back by chance when the service refuses many: as `unavailable` with the reason `CLIENT_THROTTLED`, without asking
 * it. The more it refuses the more is held back, so that what it can do it is asked for, and refusing does not use it up.
 * Unlike a circuit breaker it never stops asking. Priorities count apart: a service that refuses what matters least holds back
 * nothing that it would serve.
 *
 * What counts as refused is what the service says it cannot do now: `resource_exhausted`, the reason `OVERLOADED`, and
 * `unavailable` with a time to wait. A quota does not (the reason `RATE_LIMITED`): it is one caller's, and the others are not to be
 * held back for it. Other failures do not: they are no less often when there are fewer calls, so that holding
 * calls back would end in asking nothing.
 *
 * Algorithm: adaptive throttling (Beyer et al., "Site Reliability Engineering", chapter 21, Handling Overload), which refuses with
 * the chance `max(0, (asked - ratio * accepted) / (asked + 1))`. Theirs looks back two minutes and has no greatest chance. What was
 * asked in an overload then keeps calls back for as long afterwards, though all of them could be served: a failure that outlives its
 * cause. Here that takes 3 to 5 s.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function clientThrottle(options: ClientThrottleOptions = {}): ClientThrottle {
  const {
    ratio = 2,
    windowMs = 2000,
    floor = 2,
    maxRefusing = 0.9,
    clock = systemClock,
    random = systemRandom,
  } = options;
  if (!(ratio > 1)) throw new RangeError(`clientThrottle: ratio must be above 1, got ${ratio}`);
  if (!(windowMs > 0)) throw new RangeError(`clientThrottle: windowMs must be above 0, got ${windowMs}`);
  if (!(floor >= 0)) throw new RangeError(`clientThrottle: floor must be 0 or more, got ${floor}`);
  if (!(maxRefusing >= 0 && maxRefusing < 1)) {
    throw new RangeError(`clientThrottle: maxRefusing must be from 0 to below 1, got ${maxRefusing}`);
  }
  const settings = { ratio, windowMs, floor, maxRefusing, clock, random };
  const tallies = new Map<string, Tally[]>();

  const middleware = <Req, Res>(next: Endpoint<Req, Res>, method: MethodInfo): Endpoint<Req, Res> => {
    const { service } = method;
    let ranks = tallies.get(service);
    if (ranks === undefined) {
      ranks = priorities.map((priority) => new Tally(service, priority, settings));
      tallies.set(service, ranks);
    }
    const guard: Guard<Tally> = {
      name: "throttled",
      // Told when it is over: what is still on its way has been neither accepted nor refused.
      atAnswer: true,
      enter(call) {
        const tally = ranks[priorities.indexOf(priorityOf(call.ctx))]!;
        const nowMs = call.startedOn(clock);
        const refusing = tally.refusing(nowMs);
        if (refusing === 0 || random.next() >= refusing) return tally;
        tally.ended(false, nowMs);
        tally.refused++;
        return call.refuse(heldBack(service, refusing));
      },
      leave: (call, tally, error) => tally.ended(error === undefined || !isOverload(error), call.endedOn(clock)),
    };
    return guarded(guard, next, method);
  };
  const services = (): readonly ThrottleState[] =>
    [...tallies.values()].flatMap((ranks) => ranks.map(({ state }) => state));
  const policy: Policy = {
    name: "throttle",
    metrics: [REFUSING, REFUSED],
    measure(to) {
      for (const { service, priority, refusing, refused } of services()) {
        const about = { "rpc.service": service, "flotilla.priority": priority };
        to(REFUSING, refusing, about);
        to(REFUSED, refused, about);
      }
    },
    describe: () => services().map((state) => ({ ...state })),
  };
  const throttle = Object.defineProperty(middleware, "services", { get: services }) as unknown as ClientThrottle;
  return withPolicies(throttle, [policy]);
}

function isOverload(error: unknown): boolean {
  if (!(error instanceof ServiceError)) return false;
  if (error.code === "resource_exhausted") return refusalReason(error) !== RATE_LIMITED;
  return error.code === "unavailable" && (error.retry?.afterMs !== undefined || refusalReason(error) === OVERLOADED);
}

/** Trying again is what it is there to prevent, here and further up. */
const NEVER = { never: true } as const;

function heldBack(service: string, refusing: number): ServiceError {
  const share = `${(refusing * 100).toFixed(0)} %`;
  return refusal("unavailable", CLIENT_THROTTLED, `${service} refuses most calls: ${share} are not even sent`, NEVER);
}
