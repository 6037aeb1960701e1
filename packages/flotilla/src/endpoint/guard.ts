import type { Clock } from "../clock/clock.ts";
import type { Context } from "../context/context.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { Endpoint } from "./endpoint.ts";
import type { MethodInfo, MethodKind } from "./method-info.ts";
import { isStream, observeCall } from "./stream.ts";

/**
 * A policy that need only see calls begin and end. {@link guarded} puts it around an endpoint. Guards around guards share what a
 * call costs: one promise, and one reading of the clock at either end.
 */
export interface Guard<Token = unknown> {
  /** What it does to a call, for stack traces: `breaking`. */
  readonly name: string;
  /**
   * A call begins. It may be given another context, be refused or have to wait: see {@link GuardedCall}. What this throws is a
   * refusal, too.
   *
   * @returns what is handed back with the end of the call.
   */
  enter(call: GuardedCall): Token | undefined;
  /**
   * A call that was let in is over: answered, its stream of responses ended, or failed. What this throws, the call fails with.
   *
   * @param error - undefined when it has not failed.
   */
  leave?(call: GuardedCall, token: Token, error: unknown): void;
  /** An answer that is a stream has begun, whose end is yet to come: see {@link GuardedCall.begun}. Only where `leave` hears of that. Must not throw. */
  begun?(call: GuardedCall, token: Token): void;
  /** Whether a call is over with its answer, although that is a stream. Default false. */
  readonly atAnswer?: boolean;
  /**
   * A call that was let in has failed without an answer: what is waited for instead. Must not throw.
   *
   * @param again - makes the call anew, from inside of this guard.
   * @returns undefined to let it fail.
   */
  recover?<Res>(
    call: GuardedCall,
    token: Token,
    error: unknown,
    again: (ctx: Context) => Promise<Res>,
  ): Promise<Res> | undefined;
}

/** A call on its way through guards. */
export class GuardedCall {
  /** What goes on to the guards further in, and to the endpoint. For `enter`, where a guard may put a child in its place. */
  ctx: Context;
  readonly request: unknown;
  /** That of the context; what the two times below are on. */
  readonly clock: Clock;
  /** When the call began; for guards further in than one that made it wait, when that was over. */
  readonly startedMs: number;
  /** When it was over. */
  endedMs = 0;
  /** What it waits for instead of going on; rejected when it is refused. */
  detour: Promise<unknown> | undefined = undefined;
  refused = false;
  /** Whether an answer that is a stream has begun: what the call ends with from then on tells how that went. */
  begun = false;
  /** What the guards have returned. */
  readonly tokens: unknown[] = [];

  constructor(ctx: Context, request: unknown) {
    const { clock } = ctx;
    this.ctx = ctx;
    this.request = request;
    this.clock = clock;
    this.startedMs = clock.now();
  }

  /** What it took. */
  get durationMs(): number {
    return this.endedMs - this.startedMs;
  }

  /** When it began, on the clock of a guard. For `enter`. */
  startedOn(clock: Clock): number {
    return clock === this.clock ? this.startedMs : clock.now();
  }

  /** When it was over, on the clock of a guard. For `leave`. */
  endedOn(clock: Clock): number {
    return clock === this.clock ? this.endedMs : clock.now();
  }

  /** Lets the call fail. For `enter`: `return call.refuse(error)`. */
  refuse(why: unknown): undefined {
    this.refused = true;
    this.detour = Promise.reject(why);
  }

  /** Lets the call wait; what the promise resolves to is the token. For `enter`: `return call.wait(promise)`. */
  wait(entered: Promise<unknown>): undefined {
    this.detour = entered;
  }
}

/** Which guards are told of an end. */
const ALL = 0;
const AT_ANSWER = 1;
const AT_END = 2;

/** Guards around an endpoint, the first outermost. */
class Guards<Req, Res> {
  readonly list: readonly Guard[];
  readonly next: Endpoint<Req, Res>;
  // Whether any of them wants to know of: an end, a failure, the end of a stream.
  private readonly leaves: boolean;
  private readonly recovers: boolean;
  private readonly observes: boolean;

  constructor(list: readonly Guard[], next: Endpoint<Req, Res>, kind: MethodKind) {
    this.list = list;
    this.next = next;
    this.leaves = list.some((guard) => guard.leave !== undefined);
    this.recovers = list.some((guard) => guard.recover !== undefined);
    const streams = kind === "server_stream" || kind === "bidi_stream";
    this.observes = streams && list.some((guard) => guard.leave !== undefined && guard.atAnswer !== true);
  }

  /** Takes a call through the guards from `first` on, and through the endpoint. */
  pass(ctx: Context, request: Req, first: number): Promise<Res> {
    return this.onward(new GuardedCall(ctx, request), first, first);
  }

  /** Goes on at `from`; the guards from `first` to there have let the call in. */
  private onward(call: GuardedCall, first: number, from: number): Promise<Res> {
    const { list, next } = this;
    const { tokens } = call;
    let at = from;
    try {
      for (; at < list.length; at++) {
        tokens[at] = list[at]!.enter(call);
        if (call.detour !== undefined) break;
      }
    } catch (error) {
      call.refuse(error);
    }
    const { detour } = call;
    let pending: Promise<Res>;
    if (detour !== undefined) {
      pending = call.refused ? (detour as Promise<Res>) : this.afterWait(call, at, detour);
    } else {
      try {
        pending = next(call.ctx, call.request as Req);
      } catch (error) {
        return this.failed(call, first, at - 1, error);
      }
    }
    return this.follow(call, first, at - 1, pending);
  }

  /** The guards from `at` on have to do with a call of its own, which begins when the wait is over. */
  private afterWait({ ctx, request }: GuardedCall, at: number, wait: Promise<unknown>): Promise<Res> {
    return wait.then((token) => {
      const call = new GuardedCall(ctx, request);
      call.tokens[at] = token;
      return this.onward(call, at, at + 1);
    });
  }

  /** Waits for the outcome of a call that the guards from `first` to `last` have let in. */
  private follow(call: GuardedCall, first: number, last: number, pending: Promise<Res>): Promise<Res> {
    if (last < first || !(this.leaves || this.recovers)) return pending;
    return pending.then(
      (response) => this.answered(call, first, last, response),
      (error: unknown) => this.failed(call, first, last, error),
    );
  }

  private answered(call: GuardedCall, first: number, last: number, response: Res): Res {
    if (!this.leaves) return response;
    const stream = this.observes && isStream(response) ? response : undefined;
    if (stream !== undefined) call.begun = true;
    let failure = this.tell(call, first, last, undefined, stream === undefined ? ALL : AT_ANSWER);
    if (failure === undefined) {
      if (stream === undefined) return response;
      return observeCall(call.ctx, stream, (error) => void this.tell(call, first, last, error, AT_END)) as Res;
    }
    if (stream !== undefined) failure = this.tell(call, first, last, failure, AT_END);
    throw failure;
  }

  /** @throws what the call failed with, unless a guard has something else to wait for. */
  private failed(call: GuardedCall, first: number, last: number, thrown: unknown): Promise<Res> {
    // Undefined is what did not fail.
    let error: unknown = thrown === undefined ? ServiceError.from(thrown) : thrown;
    for (let at = last; at >= first; at--) {
      error = this.tell(call, at, at, error, ALL);
      const again = (ctx: Context): Promise<Res> => this.pass(ctx, call.request as Req, at + 1);
      const instead = this.list[at]!.recover?.(call, call.tokens[at], error, again);
      if (instead !== undefined) return this.follow(call, first, at - 1, instead);
    }
    throw error;
  }

  /** Tells the guards from `last` out to `first`. @returns what the call fails with, be it what one of them throws. */
  private tell(call: GuardedCall, first: number, last: number, given: unknown, which: number): unknown {
    const { list } = this;
    let error = given;
    call.endedMs = call.clock.now();
    for (let at = last; at >= first; at--) {
      const guard = list[at]!;
      if (guard.leave === undefined) continue;
      if (which !== ALL && (guard.atAnswer === true) !== (which === AT_ANSWER)) {
        if (which === AT_ANSWER) guard.begun?.(call, call.tokens[at]);
        continue;
      }
      try {
        guard.leave(call, call.tokens[at], error);
      } catch (thrown) {
        error = thrown;
      }
    }
    return error;
  }
}

/** What {@link guarded} has made. */
const groups = new WeakMap<Endpoint<never>, Guards<never, unknown>>();

/** Puts a guard around an endpoint. Around one that is guarded already, it becomes the outermost of its guards. */
export function guarded<Req, Res, Token>(
  guard: Guard<Token>,
  next: Endpoint<Req, Res>,
  { kind }: MethodInfo,
): Endpoint<Req, Res> {
  const inner = groups.get(next) as Guards<Req, Res> | undefined;
  const list = [guard as Guard, ...(inner?.list ?? [])];
  const guards = new Guards(list, inner?.next ?? next, kind);
  const endpoint: Endpoint<Req, Res> = (ctx, request) => guards.pass(ctx, request, 0);
  groups.set(endpoint, guards);
  // A stack trace reads as the stack of concerns.
  return Object.defineProperty(endpoint, "name", { value: list.map(({ name }) => name).join(" ") });
}
