import type { Context } from "../context/context.ts";
import { type Endpoint, type Middleware, withPolicies } from "../endpoint/endpoint.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import type { Measure, Policy, PolicyMetric } from "../endpoint/policy.ts";
import type { RetryInfo, ServiceError } from "../errors/service-error.ts";
import { Evidence, type EvidenceSettings } from "./evidence.ts";
import { DEADLINE_TOO_NEAR, refusal } from "./refusal.ts";

/** Options of {@link deadlineCheck}. */
export interface DeadlineCheckOptions {
  /** How far back calls count, milliseconds, above 0: to the beginning of the window before the one that runs. Default 10000. */
  readonly windowMs?: number;
  /** While fewer calls of a method were measured in that time nothing is known of it. 1 or more. Default 20. */
  readonly minCalls?: number;
  /** Of the calls that would be refused, one in so long is made, in case that calls have become faster; milliseconds, above 0. Default 1000. */
  readonly probeMs?: number;
  /** Which side it is for: what a client refuses is not to be tried again by anybody, since the deadline is theirs, too. Default `server`. */
  readonly side?: "server" | "client";
}

const REFUSED: PolicyMetric = {
  name: "flotilla.deadline_check.refused",
  kind: "counter",
  unit: "{call}",
  description: "Calls that were refused because they could not end in time.",
};
const LEAST: PolicyMetric = {
  name: "flotilla.deadline_check.least",
  kind: "greatest",
  unit: "s",
  description: "What a call takes at least; 0 while it is not known.",
};

/** One method. */
interface Checked {
  readonly evidence: Evidence;
  /** Refused because the deadline had passed. */
  passed: number;
  /** Refused because too little time was left. */
  near: number;
}

/**
 * Refuses unary calls that cannot end in time, before anything is done for them: as `deadline_exceeded` with the reason
 * `DEADLINE_TOO_NEAR`. Those are the calls whose deadline has passed, and those that have less time than a call of the method takes at
 * least. That is known by evidence: the least that any successful call took in the last 10 to 20 s, of which one a millisecond is
 * measured. One call a second is made all the same; if it goes well, that is the least from now on.
 *
 * Calls without a deadline pass, and streams.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function deadlineCheck(options: DeadlineCheckOptions = {}): Middleware {
  const { windowMs = 10_000, minCalls = 20, probeMs = 1000, side = "server" } = options;
  if (!(windowMs > 0)) throw new RangeError(`deadlineCheck: windowMs must be above 0, got ${windowMs}`);
  if (!(minCalls >= 1)) throw new RangeError(`deadlineCheck: minCalls must be 1 or more, got ${minCalls}`);
  if (!(probeMs > 0)) throw new RangeError(`deadlineCheck: probeMs must be above 0, got ${probeMs}`);
  // Nothing was done, so that nothing is done twice; but there is as little time left elsewhere.
  const retry = side === "client" ? { unprocessed: true, never: true } : { unprocessed: true };
  const policy = new DeadlinePolicy(side, { windowMs, minCalls, probeMs });

  const middleware = <Req, Res>(next: Endpoint<Req, Res>, method: MethodInfo): Endpoint<Req, Res> => {
    if (method.kind !== "unary") return next;
    const checked = policy.of(method.procedure);
    const { evidence } = checked;

    function measure(ctx: Context, request: Req, startedMs: number): Promise<Res> {
      return next(ctx, request).then((response) => {
        const nowMs = ctx.clock.now();
        evidence.record(nowMs, nowMs - startedMs);
        return response;
      });
    }

    return function checkingDeadline(ctx, request) {
      const nowMs = ctx.clock.now();
      const { deadline } = ctx;
      if (deadline !== undefined && deadline - nowMs <= evidence.leastMs) {
        const leftMs = deadline - nowMs;
        if (leftMs <= 0) checked.passed++;
        else if (evidence.probes(nowMs)) return measure(ctx, request, nowMs);
        else checked.near++;
        return Promise.reject(tooNear(method, leftMs, evidence.leastMs, retry));
      }
      return evidence.samples(nowMs) ? measure(ctx, request, nowMs) : next(ctx, request);
    };
  };
  return withPolicies(middleware, [policy]);
}

/** What the check tells of itself, a method at a time. */
class DeadlinePolicy implements Policy {
  readonly name = "deadline_check";
  readonly metrics = [REFUSED, LEAST];
  readonly #side: "server" | "client";
  readonly #settings: EvidenceSettings;
  readonly #methods = new Map<string, Checked>();

  constructor(side: "server" | "client", settings: EvidenceSettings) {
    this.#side = side;
    this.#settings = settings;
  }

  of(procedure: string): Checked {
    let checked = this.#methods.get(procedure);
    if (checked === undefined) {
      checked = { evidence: new Evidence(this.#settings), passed: 0, near: 0 };
      this.#methods.set(procedure, checked);
    }
    return checked;
  }

  measure(to: Measure): void {
    for (const [procedure, { evidence, passed, near }] of this.#methods) {
      const about = { "rpc.method": procedure, "flotilla.side": this.#side };
      to(REFUSED, passed, { ...about, reason: "passed" });
      to(REFUSED, near, { ...about, reason: "near" });
      to(LEAST, evidence.leastMs / 1000, about);
    }
  }

  describe(): readonly Readonly<Record<string, unknown>>[] {
    return Array.from(this.#methods, ([name, { evidence, passed, near }]) => {
      return { side: this.#side, name, leastMs: evidence.leastMs, refused: { passed, near } };
    });
  }
}

function tooNear({ procedure }: MethodInfo, leftMs: number, leastMs: number, retry: RetryInfo): ServiceError {
  const why =
    leftMs > 0
      ? `${procedure} has taken ${leastMs.toPrecision(2)} ms and more lately, and ${leftMs.toPrecision(2)} ms are left`
      : "the deadline passed before the call was begun";
  return refusal("deadline_exceeded", DEADLINE_TOO_NEAR, why, retry);
}
