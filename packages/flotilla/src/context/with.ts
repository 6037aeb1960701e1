import type { Clock } from "../clock/clock.ts";
import { systemClock } from "../clock/system-clock.ts";
import type { CancelContext, Context } from "./context.ts";
import type { ContextKey } from "./key.ts";
import { Node, Root, Scope } from "./node.ts";

const systemBackground = new Node(new Root(systemClock), undefined, undefined, undefined, undefined);

/**
 * The root of a tree of contexts: never done, no deadline, no values. For `main`, tests, and the top of incoming calls.
 *
 * @param clock - what deadlines below it are measured on. Default: the system's clock.
 */
export function background(clock: Clock = systemClock): Context {
  return clock === systemClock
    ? systemBackground
    : new Node(new Root(clock), undefined, undefined, undefined, undefined);
}

/** A child that can be cancelled. */
export function withCancel(parent: Context): CancelContext {
  return new Scope(parent as Node, Infinity, undefined, undefined);
}

/**
 * A child that ends by itself `timeoutMs` milliseconds from now, or when its parent ends, whichever is first.
 *
 * @param timeoutMs - milliseconds; 0 or less makes a context that is done already; Infinity sets no deadline.
 * @throws RangeError when `timeoutMs` is not a number.
 */
export function withTimeout(parent: Context, timeoutMs: number): CancelContext {
  if (Number.isNaN(timeoutMs)) throw new RangeError("withTimeout: timeoutMs must be a number of milliseconds, got NaN");
  const node = parent as Node;
  return new Scope(node, node.root.clock.now() + timeoutMs, undefined, undefined);
}

/**
 * A child that ends by itself at a point in time, or when its parent ends, whichever is first.
 *
 * @param deadlineMs - milliseconds on the context's own clock (`ctx.clock.now()`), not since the epoch.
 * @throws RangeError when `deadlineMs` is not a number.
 */
export function withDeadline(parent: Context, deadlineMs: number): CancelContext {
  if (Number.isNaN(deadlineMs)) throw new RangeError("withDeadline: deadlineMs must be a number, got NaN");
  return new Scope(parent as Node, deadlineMs, undefined, undefined);
}

/** As `ctx.cancel()`, where the clock has just been read. */
export function cancelAt(ctx: CancelContext, nowMs: number): void {
  (ctx as Scope).cancel(undefined, nowMs);
}

/** A child that carries one value more. */
export function withValue<T>(parent: Context, key: ContextKey<T>, value: T): Context {
  const node = parent as Node;
  return new Node(node.root, node, node.scope, key, value);
}

/**
 * A child with its parent's values but not its end: neither deadline nor cancellation pass through. For work that must be
 * finished although the caller has gone (a commit, a compensation).
 */
export function withoutCancel(parent: Context): Context {
  const node = parent as Node;
  return new Node(node.root, node, undefined, undefined, undefined);
}

/**
 * Calls `callback` once when the context is done, in a microtask of its own (at once if it is done already).
 *
 * @returns a function that takes the callback back: true when that stopped it from being called.
 */
export function afterFunc(ctx: Context, callback: () => void): () => boolean {
  const scope = (ctx as Node).scope;
  return scope === undefined ? neverDone() : scope.listen(callback);
}

/** Like Go's: on a context that is never done, the first stop is true and the later ones false. */
function neverDone(): () => boolean {
  let waiting = true;
  return () => {
    const stopped = waiting;
    waiting = false;
    return stopped;
  };
}

/** Milliseconds left until the deadline; Infinity when there is none, 0 or less when it has passed. */
export function remainingMs(ctx: Context): number {
  const scope = (ctx as Node).scope;
  return scope === undefined || scope.deadlineMs === Infinity ? Infinity : scope.deadlineMs - scope.root.clock.now();
}
