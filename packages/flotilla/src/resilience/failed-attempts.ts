import type { Instance } from "../endpoint/instance.ts";
import { type FailedAttempt, type RetryInfo, ServiceError } from "../errors/service-error.ts";

/**
 * What is told of an attempt that failed: of each that it was itself made of, where it was hedged.
 *
 * @param callMs - when the call began, of which the attempt is one.
 */
export function reportsOf(
  error: ServiceError,
  instance: Instance | undefined,
  callMs: number,
  beganMs: number,
  endedMs: number,
): FailedAttempt[] {
  const sinceMs = beganMs - callMs;
  if (error.attempts !== undefined) {
    return error.attempts.map((attempt) => ({ ...attempt, afterMs: sinceMs + attempt.afterMs }));
  }
  const { code, message } = error;
  return [{ address: instance?.address, code, message, afterMs: sinceMs, durationMs: endedMs - beganMs }];
}

/** The same error, telling of all attempts. */
export function listing(
  error: ServiceError,
  attempts: readonly FailedAttempt[],
  retry: RetryInfo | undefined = error.retry,
): ServiceError {
  const { code, message, details, metadata } = error;
  return new ServiceError(code, message, {
    cause: error.cause ?? error,
    details,
    attempts,
    ...(metadata !== undefined && { metadata }),
    ...(retry !== undefined && { retry }),
  });
}
