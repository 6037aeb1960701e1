import type { Code } from "../../../errors/code.ts";
import { ServiceError, type ServiceErrorOptions } from "../../../errors/service-error.ts";

/** What the client of AWS rejects with: its own exceptions, and node's errors of the network. */
interface SdkError {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly retryAfterSeconds?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: unknown };
}

/** Errors of the network with which nothing was sent. */
const NEVER_SENT: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
]);

const unprocessed = { retry: { unprocessed: true } } as const;

/** Why a function was not invoked, or nobody knows whether it was. Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors */
export function notInvoked(name: string, cause: unknown): ServiceError {
  if (cause instanceof ServiceError) return cause;
  const error = Object(cause) as SdkError;
  const message = `${name} could not be invoked: ${String(error.name)}: ${String(error.message)}`;
  const as = (code: Code, options: ServiceErrorOptions = {}) => new ServiceError(code, message, { ...options, cause });
  const status = error.$metadata?.httpStatusCode;
  if (status === 429) return as("resource_exhausted", { retry: { unprocessed: true, ...pause(error) } });
  if (status === 413) return as("resource_exhausted", { retry: { never: true } });
  // Nobody serves there.
  if (status === 404) return as("unavailable", unprocessed);
  if (status === 401) return as("unauthenticated");
  if (status === 403) return as("permission_denied");
  if (typeof status === "number" && status < 500) return as("internal");
  if (NEVER_SENT.has(error.code)) return as("unavailable", unprocessed);
  if (typeof status === "number" || typeof error.code === "string" || error.name === "TimeoutError")
    return as("unavailable");
  // None of the platform's: what `invoke` itself does wrong.
  return as("internal");
}

function pause({ retryAfterSeconds }: SdkError): { afterMs?: number } {
  const afterMs = Number(retryAfterSeconds) * 1000;
  return afterMs > 0 ? { afterMs } : {};
}
