import type { CancelContext, Context } from "./context.ts";
import type { ContextKey } from "./key.ts";
import { type Node, Scope } from "./node.ts";

/**
 * The context of one incoming call: deadline and call information in a single allocation. For transports.
 *
 * @param timeoutMs - milliseconds from now; Infinity for no deadline.
 */
export function requestContext<T>(parent: Context, timeoutMs: number, key: ContextKey<T>, held: T): CancelContext {
  const node = parent as Node;
  const deadlineMs = timeoutMs === Infinity ? Infinity : node.root.clock.now() + timeoutMs;
  return new Scope(node, deadlineMs, key, held);
}
