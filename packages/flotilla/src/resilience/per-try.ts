import { withTimeout } from "../context/with.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { ServiceError } from "../errors/service-error.ts";

const timedOut = new WeakSet<ServiceError>();

/** Gives each call of a unary endpoint a time of its own within that of its caller; then it is cancelled. */
export function perTry<Req, Res>(next: Endpoint<Req, Res>, timeoutMs: number): Endpoint<Req, Res> {
  return async function inTime(ctx, request) {
    const limited = withTimeout(ctx, timeoutMs);
    try {
      return await next(limited, request);
    } catch (error) {
      // The caller's own end goes before.
      if (ctx.err !== undefined || limited.err === undefined) throw error;
      const late = new ServiceError("deadline_exceeded", `the attempt took longer than ${timeoutMs} ms`, {
        cause: error,
        ...(error instanceof ServiceError && error.attempts !== undefined && { attempts: error.attempts }),
      });
      timedOut.add(late);
      throw late;
    } finally {
      limited.cancel();
    }
  };
}

/** Whether an error says that an attempt, not the call, took too long. */
export function isPerTryTimeout(error: ServiceError): boolean {
  return timedOut.has(error);
}
