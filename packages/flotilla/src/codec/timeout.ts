import { ServiceError } from "../errors/service-error.ts";

/**
 * Reads `connect-timeout-ms`: a whole number of milliseconds, at most ten digits (Connect protocol).
 *
 * @throws ServiceError `invalid_argument` when it is anything else.
 */
export function parseConnectTimeout(value: string): number {
  if (!/^\d{1,10}$/.test(value)) {
    throw new ServiceError(
      "invalid_argument",
      `header connect-timeout-ms must be a whole number of milliseconds of at most ten digits, got ${JSON.stringify(value.slice(0, 32))}`,
    );
  }
  return Number(value);
}

/** Writes `connect-timeout-ms`: rounded down, at least 0, at most ten digits. */
export function formatConnectTimeout(ms: number): string {
  return String(Math.min(9_999_999_999, Math.max(0, Math.floor(ms))));
}
