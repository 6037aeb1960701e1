import type { Code } from "./code.ts";
import { ServiceError, type ServiceErrorOptions } from "./service-error.ts";

/**
 * An error without a stack trace: for what is made by the million in always the same few lines, where a trace would say nothing
 * and cost nine tenths of it.
 */
export function withoutStack(code: Code, message: string, options?: ServiceErrorOptions): ServiceError {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return new ServiceError(code, message, options);
  } finally {
    Error.stackTraceLimit = limit;
  }
}
