import { withTimeout } from "../context/with.ts";
import type { Middleware } from "../endpoint/endpoint.ts";

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
    return async function withDeadline(ctx, request) {
      const limited = withTimeout(ctx, ms);
      try {
        return await next(limited, request);
      } finally {
        limited.cancel();
      }
    };
  };
}
