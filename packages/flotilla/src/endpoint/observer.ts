import type { Context } from "../context/context.ts";
import { type ContextKey, contextKey } from "../context/key.ts";
import type { ServerCall } from "../metadata/call.ts";
import type { Observation } from "../metadata/observation.ts";
import type { Instance } from "./instance.ts";
import type { MethodInfo } from "./method-info.ts";
import type { Service } from "./service.ts";

/**
 * Told of every call that a listener serves, also of those that no handler ever sees: unreadable, too large, for no method. Unlike
 * a middleware it knows what went over the wire. Nothing here may throw.
 */
export interface ServerObserver {
  /**
   * Prepares for the calls of a method; asked once, when the listener starts.
   *
   * @param method - undefined for the requests that match none.
   */
  method(method: MethodInfo | undefined): MethodObserver;
}

/** Told of the calls of one method. */
export interface MethodObserver {
  /**
   * A call begins.
   *
   * @param call - undefined for a request that was refused before it became a call.
   * @param ctx - parent of the call's context.
   * @param startedMs - on the clock of `ctx`.
   */
  begin(call: ServerCall | undefined, ctx: Context, startedMs: number): Observation;
}

/** The key under which a host tells its listeners of the observer. Read once, by `listen`. */
export const serverObserverKey: ContextKey<ServerObserver | undefined> =
  contextKey<ServerObserver>("flotilla.serverObserver");

/**
 * Told of what happens to one call on its way out, below the middleware that put it into the context: waits, the instance picked,
 * further attempts. Nothing here may throw.
 */
export interface OutgoingCall {
  /** The call waits for something (`discovery`, `rate limit`); what is returned is called when the wait is over. */
  waits(what: string): (error?: unknown) => void;
  /**
   * An attempt goes to an instance.
   *
   * @returns the context it goes on with.
   */
  attempt(ctx: Context, instance: Instance): Context;
  /** The attempt that began last has failed. */
  attemptFailed(error: unknown): void;
}

/** The key of the observer of the call in progress. */
export const outgoingCallKey: ContextKey<OutgoingCall | undefined> = contextKey<OutgoingCall>("flotilla.outgoingCall");

/** The observers of all methods of these services, and under undefined that of other requests; empty when nobody observes. */
export function observersOf(
  services: readonly Service[],
  root: Context,
): ReadonlyMap<MethodInfo | undefined, MethodObserver> {
  const observers = new Map<MethodInfo | undefined, MethodObserver>();
  const observer = root.value(serverObserverKey);
  if (observer === undefined) return observers;
  observers.set(undefined, observer.method(undefined));
  for (const { methods, observed } of services) {
    if (observed !== false) for (const { info } of methods) observers.set(info, observer.method(info));
  }
  return observers;
}
