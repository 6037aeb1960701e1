import type { Code } from "../errors/code.ts";
import { ServiceError } from "../errors/service-error.ts";

const failures: ReadonlySet<Code> = new Set<Code>([
  "unavailable",
  "resource_exhausted",
  "deadline_exceeded",
  "internal",
  "unknown",
  "data_loss",
]);

/** Whether an error is a failure of the one called: what the caller did wrong, or gave up, is none. What is no ServiceError is. */
export function isFailure(error: unknown): boolean {
  return failures.has(ServiceError.from(error).code);
}
