import type { CancelContext } from "../context/context.ts";
import { cancelAt, withDeadline } from "../context/with.ts";
import type { Middleware } from "../endpoint/endpoint.ts";
import { type Guard, guarded } from "../endpoint/guard.ts";

/**
 * Gives every unary call a deadline: that of the caller when it is earlier, else `timeoutMs` from now. Streams keep the caller's.
 *
 * @param timeoutMs - milliseconds, above 0. A method's own `timeoutMs` goes before it.
 * @throws RangeError when `timeoutMs` is not above 0.
 */
export function deadline(timeoutMs: number): Middleware {
  if (!(timeoutMs > 0)) throw new RangeError(`deadline: timeoutMs must be above 0, got ${timeoutMs}`);
  return (next, method) => {
    if (method.kind !== "unary") return next;
    const ms = method.timeoutMs ?? timeoutMs;
    const guard: Guard<CancelContext> = {
      name: "withDeadline",
      enter(call) {
        const limited = withDeadline(call.ctx, call.startedMs + ms);
        call.ctx = limited;
        return limited;
      },
      leave: ({ endedMs }, limited) => cancelAt(limited, endedMs),
    };
    return guarded(guard, next, method);
  };
}
