import { type Distribution, distributionOf } from "../../clock/distribution.ts";
import type { Context } from "../../context/context.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { type Code, isCode } from "../../errors/code.ts";
import type { ServiceError } from "../../errors/service-error.ts";

/**
 * What goes wrong with calls: which of them, where, and how. What is given goes wrong together: first they are late, then
 * they end.
 */
export interface CallFault {
  /** Methods by name (`book`) or procedure (`shop.v1.Shop/book`). Default: all that the middleware stands around. */
  readonly methods?: readonly string[];
  /** Which of their calls: by tenant, peer, or whatever else the context tells. Must not throw. Default: all. */
  readonly when?: (ctx: Context, method: MethodInfo) => boolean;
  /** Share of these calls, drawn by chance, 0 to 1. Default 1. */
  readonly share?: number;
  /**
   * `request`: before the call goes on, so that nothing further in sees it while it waits, or ever. `response`: when it was
   * answered, so that the work is done and the answer late or lost. A stream of responses has each message late, or ends in
   * between. Default `request`.
   */
  readonly at?: "request" | "response";
  /** So many messages of a stream of responses pass before: a whole number, 0 or more. Only with `at: "response"`. Default 0. */
  readonly afterMessages?: number;
  /** How late, milliseconds, 0 or more; or drawn for each call. Ends with the call's context. Default 0. */
  readonly latencyMs?: number | Distribution;
  /** The call fails: with this code and the reason `FAULT_INJECTED`, or with what the function makes, anew for each call. */
  readonly error?: Code | ((method: MethodInfo) => ServiceError);
  /**
   * The call fails as if its connection had broken: `unavailable`, and nobody knows whether it was processed. Around what is
   * served (`faults({ serving: true })`) the connection does break, without an answer, where the transport can do that.
   */
  readonly abort?: boolean;
  /** The call is not answered until its context ends, or the fault is healed: then it goes on. */
  readonly blackhole?: boolean;
}

/** A fault that is injected, until it is healed. */
export interface InjectedFault<Fault> {
  readonly fault: Fault;
  /** Calls, or connections, that it has struck so far. */
  readonly hits: number;
  /** Takes it away. What waits because of it goes on. Idempotent. */
  heal(): void;
}

/** The fault with every default filled in. */
export interface SettledCallFault {
  readonly methods: ReadonlySet<string> | undefined;
  readonly when: CallFault["when"];
  readonly share: number;
  readonly late: boolean;
  readonly afterMessages: number;
  readonly latency: Distribution | undefined;
  readonly error: CallFault["error"];
  readonly end: "error" | "abort" | "blackhole" | undefined;
}

/** @throws RangeError or TypeError when an option is not legal, naming it. */
export function settleCallFault(fault: CallFault): SettledCallFault {
  const { methods, when, share = 1, at = "request", afterMessages = 0, latencyMs, error, abort, blackhole } = fault;
  if (!(share >= 0 && share <= 1)) throw new RangeError(`faults: share must be from 0 to 1, got ${share}`);
  if (at !== "request" && at !== "response") {
    throw new RangeError(`faults: at must be "request" or "response", got ${JSON.stringify(at)}`);
  }
  if (!(Number.isInteger(afterMessages) && afterMessages >= 0)) {
    throw new RangeError(`faults: afterMessages must be a whole number, 0 or more, got ${afterMessages}`);
  }
  if (afterMessages > 0 && at === "request") {
    throw new TypeError('faults: afterMessages counts responses: it needs at: "response"');
  }
  if (methods?.length === 0) throw new TypeError("faults: methods is empty: leave it out for all methods");
  if (typeof latencyMs === "number" && !(latencyMs >= 0 && latencyMs < Infinity)) {
    throw new RangeError(`faults: latencyMs must be 0 or more and finite, got ${latencyMs}`);
  }
  if (error !== undefined && typeof error !== "function" && !isCode(error)) {
    throw new RangeError(`faults: error must be a code or a function, got ${JSON.stringify(error)}`);
  }
  const ends = Object.entries({ error: error !== undefined, abort, blackhole }).filter(([, given]) => given === true);
  if (ends.length > 1)
    throw new TypeError(`faults: a call ends in one way: ${ends.map(([name]) => name).join(" or ")}`);
  if (ends.length === 0 && latencyMs === undefined) {
    throw new TypeError("faults: nothing goes wrong: give latencyMs, error, abort or blackhole");
  }
  return {
    methods: methods === undefined ? undefined : new Set(methods),
    when,
    share,
    late: at === "response",
    afterMessages,
    latency: latencyMs === undefined ? undefined : distributionOf(latencyMs),
    error,
    end: ends[0]?.[0] as SettledCallFault["end"],
  };
}
