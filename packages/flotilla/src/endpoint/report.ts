import type { Context } from "../context/context.ts";
import { type ContextKey, contextKey } from "../context/key.ts";
import type { ServiceError } from "../errors/service-error.ts";
import type { MethodInfo } from "./method-info.ts";

/** Told of a failure whose cause the caller must not see: here is where it is kept. `ctx` is the call's. Must not throw. */
export type ErrorReporter = (error: ServiceError, method: MethodInfo | undefined, ctx: Context) => void;

/** The key under which a host puts its reporter. Default: one JSON line to standard error. */
export const errorReporterKey: ContextKey<ErrorReporter> = contextKey("flotilla.errorReporter", toStandardError);

/** Hands an error to the reporter in force. For transports, with what leaves as `internal`. */
export function reportError(ctx: Context, error: ServiceError, method?: MethodInfo): void {
  ctx.value(errorReporterKey)(error, method, ctx);
}

function toStandardError(error: ServiceError, method: MethodInfo | undefined): void {
  const { cause } = error;
  const line = {
    level: "error",
    code: error.code,
    method: method?.procedure,
    message: cause instanceof Error ? cause.message : error.message,
    stack: cause instanceof Error ? cause.stack : error.stack,
  };
  process.stderr.write(`${JSON.stringify(line)}\n`);
}
