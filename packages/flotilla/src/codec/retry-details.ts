import { detailTypes, FLOTILLA_DOMAIN, type RetryInfoDetail } from "../errors/details.ts";
import type { ErrorDetail, RetryInfo, ServiceError } from "../errors/service-error.ts";

/** Never retry, said as a google.rpc.ErrorInfo, since google.rpc.RetryInfo can only give a delay. */
const NO_RETRY = { reason: "NO_RETRY", domain: FLOTILLA_DOMAIN } as const;

/**
 * The details of an error with its retry information among them: google.rpc.RetryInfo, and for "never" an ErrorInfo with reason
 * NO_RETRY.
 */
export function withRetryDetails({ details, retry }: ServiceError): readonly ErrorDetail[] {
  if (retry?.afterMs === undefined && !retry?.never) return details;
  const all = details.slice();
  if (retry.afterMs !== undefined) {
    all.push({ type: detailTypes.retryInfo, value: { retryDelay: formatDuration(retry.afterMs) } });
  }
  if (retry.never) all.push({ type: detailTypes.errorInfo, value: NO_RETRY });
  return all;
}

/** Takes the retry information out of the details that came with an error. */
export function splitRetry(details: readonly ErrorDetail[]): { kept: ErrorDetail[]; retry: RetryInfo | undefined } {
  let retry: RetryInfo | undefined;
  const kept = details.filter(({ type, value }) => {
    if (type === detailTypes.retryInfo) {
      const delay = parseDuration((value as RetryInfoDetail | undefined)?.retryDelay);
      if (delay === undefined) return true;
      retry = { ...retry, afterMs: delay };
      return false;
    }
    if (type === detailTypes.errorInfo) {
      const info = value as Partial<typeof NO_RETRY> | undefined;
      if (info?.reason !== NO_RETRY.reason || info.domain !== NO_RETRY.domain) return true;
      retry = { ...retry, never: true };
      return false;
    }
    return true;
  });
  return { kept, retry };
}

/** Milliseconds as `"1.5s"`, to the nanosecond. */
function formatDuration(ms: number): string {
  return `${(ms / 1000).toFixed(9).replace(/\.?0+$/, "")}s`;
}

/** `"1.5s"` in milliseconds; undefined when it is not a duration of 0 or more. */
function parseDuration(text: unknown): number | undefined {
  const [, seconds, fraction = ""] = (typeof text === "string" && /^(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(text)) || [];
  // In whole numbers: 1.1 times 1000 is not 1100.
  return seconds === undefined ? undefined : Number(seconds) * 1000 + Number(fraction.padEnd(9, "0")) / 1e6;
}
