import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";
import { type Endpoint, type Middleware, withPolicies } from "../../endpoint/endpoint.ts";
import { type Guard, guarded } from "../../endpoint/guard.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { ServiceError } from "../../errors/service-error.ts";
import { OVERLOADED, refusal } from "../refusal.ts";
import { adaptiveLimit } from "./adaptive-limit.ts";
import { Gate, type GateState, type Stay } from "./gate.ts";
import { fixedLimit, type LimitFactory } from "./limit.ts";
import { LimitPolicy } from "./limit-policy.ts";

/** Options of {@link concurrencyLimit}. */
export interface ConcurrencyLimitOptions {
  /** Calls in flight at once: a number for a bulkhead, or what finds it out. Default `adaptiveLimit()`. */
  readonly limit?: number | LimitFactory;
  /** Calls that may wait for room, all priorities together. 0 or more; in overload no more than 30 that are not critical. Default 1000. */
  readonly maxQueued?: number;
  /** How long what arrives may wait for the event loop on average, while that is never idle, before fewer are let in, milliseconds. Default 20. */
  readonly targetMs?: number;
  /** Who has waited for less is not refused for waiting, milliseconds. Default 100. */
  readonly intervalMs?: number;
  /** Whether streams count, from their beginning to their end. Default false: one that is open for hours says nothing of the load. */
  readonly streams?: boolean;
  /** Which side it is for: refusals of a client reached no handler, and may be tried elsewhere freely. Default `server`. */
  readonly side?: "server" | "client";
  readonly clock?: Clock;
}

/** A middleware that tells how it stands. */
export interface ConcurrencyLimit extends Middleware {
  readonly state: GateState;
}

/**
 * Bounds the calls in flight, over all methods it is put around. The others wait a moment, by priority (`withPriority`), or are
 * refused as `unavailable` with the reason `OVERLOADED`: at once, while it costs next to nothing, instead of late.
 *
 * On a server it keeps goodput at what can be served, whatever is asked; with a number it is a bulkhead. On a client it holds
 * back what the target could only queue.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function concurrencyLimit(options: ConcurrencyLimitOptions = {}): ConcurrencyLimit {
  const { limit = adaptiveLimit(), maxQueued = 1000, targetMs = 20, intervalMs = 100 } = options;
  const { side = "server", clock = systemClock } = options;
  if (!(maxQueued >= 0)) throw new RangeError(`concurrencyLimit: maxQueued must be 0 or more, got ${maxQueued}`);
  if (!(targetMs > 0)) throw new RangeError(`concurrencyLimit: targetMs must be above 0, got ${targetMs}`);
  if (!(intervalMs > 0)) throw new RangeError(`concurrencyLimit: intervalMs must be above 0, got ${intervalMs}`);
  const retry = side === "client" ? { unprocessed: true } : {};
  const policy = new LimitPolicy(clock, side, () => gate.state);
  const refuse = (why: string): ServiceError => {
    policy.refused(why);
    return refusal("unavailable", OVERLOADED, `overloaded: ${why}`, retry);
  };
  const factory = typeof limit === "number" ? fixedLimit(limit) : limit;
  const made = factory(clock);
  const gate = new Gate({ clock, limit: made, maxQueued, targetMs, intervalMs, refusal: refuse });

  const middleware = <Req, Res>(next: Endpoint<Req, Res>, method: MethodInfo): Endpoint<Req, Res> => {
    if (method.kind !== "unary" && options.streams !== true) return next;
    const timed = method.kind === "unary" || method.beginsAtOnce === true;
    const kind = made.kind();
    const begin = (): Stay => gate.begin(kind);
    const guard: Guard<Stay> = {
      name: "limited",
      enter(call) {
        if (policy.overloaded) policy.look();
        return gate.tryEnter(call.startedOn(clock)) ? begin() : call.wait(gate.enter(call.ctx).then(begin));
      },
      begun(call, stay) {
        if (timed) gate.answered(call.endedOn(clock), stay, call.durationMs);
      },
      leave(call, stay, error) {
        // Of what has begun to be answered that has told all, and of other streams nothing does.
        const told = call.begun || !timed;
        // Out of its own time: what failed at once because a call it made could not be in time tells nothing.
        const late = !told && call.ctx.err?.code === "deadline_exceeded";
        const tells = late || (!told && error === undefined);
        gate.leave(call.endedOn(clock), stay, tells ? call.durationMs : undefined, late);
      },
    };
    return guarded(guard, next, method);
  };
  const refuses: Middleware["refuses"] = (ctx, { kind }) =>
    kind === "unary" || options.streams === true ? gate.refuses(ctx) : undefined;
  const limiting = Object.defineProperties(middleware, {
    state: { get: () => gate.state },
    refuses: { value: refuses },
  }) as unknown as ConcurrencyLimit;
  return withPolicies(limiting, [policy]);
}
