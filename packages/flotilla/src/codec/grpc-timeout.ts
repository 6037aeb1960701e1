import { ServiceError } from "../errors/service-error.ts";

/** Milliseconds of each unit. */
const units: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/**
 * Reads `grpc-timeout`: at most eight digits and a unit. In milliseconds.
 *
 * @throws ServiceError `invalid_argument` when it is anything else.
 */
export function parseTimeout(value: string): number {
  const last = value.length - 1;
  const unit = last > 0 && last <= 8 ? units[value[last]!] : undefined;
  let amount = 0;
  for (let i = 0; i < last; i++) {
    const digit = value.charCodeAt(i) - 48;
    amount = digit >= 0 && digit <= 9 ? amount * 10 + digit : Number.NaN;
  }
  if (unit === undefined || Number.isNaN(amount)) {
    throw new ServiceError(
      "invalid_argument",
      `header grpc-timeout must be at most eight digits and one of H, M, S, m, u, n, got ${JSON.stringify(value.slice(0, 32))}`,
    );
  }
  return amount * unit;
}

/** Writes `grpc-timeout`: rounded down to what eight digits can hold, at least 0. */
export function formatTimeout(ms: number): string {
  if (ms < 1) return `${Math.max(0, Math.floor(ms * 1000))}u`;
  if (ms < 1e8) return `${Math.floor(ms)}m`;
  if (ms < 1e11) return `${Math.floor(ms / 1000)}S`;
  return `${Math.min(99_999_999, Math.floor(ms / 3_600_000))}H`;
}
