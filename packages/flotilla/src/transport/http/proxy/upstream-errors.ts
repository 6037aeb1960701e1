import { type Code, codeFromHttp } from "../../../errors/code.ts";
import { errorInfo, FLOTILLA_DOMAIN, refusalReason } from "../../../errors/details.ts";
import { type RetryInfo, ServiceError } from "../../../errors/service-error.ts";

/** The reason in the error detail of what failed between proxy and upstream, rather than at one of the two. */
const BROKEN = "UPSTREAM_BROKEN";

const details = Object.freeze([Object.freeze(errorInfo(Object.freeze({ reason: BROKEN, domain: FLOTILLA_DOMAIN })))]);

/** No connection, one that broke, or an answer that is none. */
export function broken(message: string, cause?: unknown, retry?: RetryInfo, code: Code = "unavailable"): ServiceError {
  return new ServiceError(code, message, { cause, details, ...(retry !== undefined && { retry }) });
}

/** Whether an error is one of these. */
export function isBroken(error: ServiceError): boolean {
  return refusalReason(error) === BROKEN;
}

/** The failure that a status tells of, for breakers, throttles and the balance; undefined when the upstream did what it could. */
export function failureOf(address: string, status: number, retryAfter: string | undefined): ServiceError | undefined {
  if (status < 500 && status !== 429) return undefined;
  const after =
    retryAfter !== undefined && /^\d{1,9}$/.test(retryAfter) ? { afterMs: Number(retryAfter) * 1000 } : undefined;
  const code = status === 429 ? "resource_exhausted" : codeFromHttp(status);
  return new ServiceError(code, `${address} answered HTTP ${status}`, after === undefined ? {} : { retry: after });
}

/** The same error, for a call of which no further attempt must be made. */
export function final(error: ServiceError): ServiceError {
  const { code, message, cause, details: own, metadata, retry } = error;
  return new ServiceError(code, message, {
    cause,
    details: own,
    retry: { ...retry, never: true },
    ...(metadata !== undefined && { metadata }),
  });
}
