import type { Context } from "../context/context.ts";
import { type ContextKey, contextKey } from "../context/key.ts";
import { withValue } from "../context/with.ts";
import { serverCallKey } from "./call.ts";

/**
 * How much it matters that a call is served when not all can be: what is `sheddable` is refused first, what is `critical` last.
 */
export type Priority = "critical" | "default" | "sheddable";

/** The header that carries it over a hop. Without it, or with a value that is none of the three, a call is `default`. */
export const PRIORITY_HEADER = "x-request-priority";

/** All priorities, the most important first. */
export const priorities: readonly Priority[] = ["critical", "default", "sheddable"];

const priorityKey: ContextKey<Priority | undefined> = contextKey<Priority>("flotilla.priority");

/**
 * A child whose calls, and those made on their behalf over any number of hops, have this priority.
 *
 * @throws TypeError when it is none of the three.
 */
export function withPriority(ctx: Context, priority: Priority): Context {
  if (!priorities.includes(priority)) {
    throw new TypeError(`withPriority: ${JSON.stringify(priority)} is none of ${priorities.join(", ")}`);
  }
  return withValue(ctx, priorityKey, priority);
}

/** The priority in force: the one set last, else that of the incoming call, else `default`. */
export function priorityOf(ctx: Context): Priority {
  const set = ctx.value(priorityKey);
  if (set !== undefined) return set;
  const header = ctx.value(serverCallKey)?.headers.get(PRIORITY_HEADER);
  return header === "critical" || header === "sheddable" ? header : "default";
}

/** The header to send on; undefined for `default`. For transports. */
export function priorityHeader(ctx: Context): Priority | undefined {
  const priority = priorityOf(ctx);
  return priority === "default" ? undefined : priority;
}
