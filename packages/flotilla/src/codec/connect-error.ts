import { codeFromHttp, codes, isCode } from "../errors/code.ts";
import { detailTypes, FLOTILLA_DOMAIN, type RetryInfoDetail } from "../errors/details.ts";
import { type ErrorDetail, type RetryInfo, ServiceError } from "../errors/service-error.ts";
import { decodeDetail, encodeDetail, type WireDetail } from "./error-details.ts";

/** An error as the Connect protocol writes it in JSON. */
export interface ConnectErrorJson {
  readonly code: string;
  readonly message?: string;
  readonly details?: readonly WireDetail[];
}

/** Never retry, said as a google.rpc.ErrorInfo, since google.rpc.RetryInfo can only give a delay. */
const NO_RETRY = { reason: "NO_RETRY", domain: FLOTILLA_DOMAIN } as const;

/**
 * The JSON form of an error. Retry information travels as details: google.rpc.RetryInfo, and for "never" an ErrorInfo with
 * reason NO_RETRY.
 */
export function toConnectError(error: ServiceError): ConnectErrorJson {
  const details = error.details.map(encodeDetail);
  const { retry } = error;
  if (retry?.afterMs !== undefined) {
    details.push(encodeDetail({ type: detailTypes.retryInfo, value: { retryDelay: `${retry.afterMs / 1000}s` } }));
  }
  if (retry?.never) details.push(encodeDetail({ type: detailTypes.errorInfo, value: NO_RETRY }));
  return {
    code: error.code,
    ...(error.message !== "" && { message: error.message }),
    ...(details.length > 0 && { details }),
  };
}

/**
 * Reads the JSON form of an error. Whatever a peer sends gives a ServiceError: an unknown code or a body that is no Connect
 * error becomes what the HTTP status says.
 *
 * @param status - HTTP status the error came with; undefined inside a stream.
 */
export function fromConnectError(
  json: unknown,
  status: number | undefined,
  metadata?: Readonly<Record<string, string>>,
): ServiceError {
  const fallback = status === undefined ? "unknown" : codeFromHttp(status);
  const options = metadata === undefined ? {} : { metadata };
  if (typeof json !== "object" || json === null) {
    return new ServiceError(
      fallback,
      status === undefined ? "the peer sent no error" : `the peer answered HTTP ${status}`,
      options,
    );
  }
  const { code, message, details } = json as Record<string, unknown>;
  const decoded = Array.isArray(details) ? details.slice(0, MAX_DETAILS).map(decodeDetail) : [];
  const { kept, retry } = splitRetry(decoded);
  return new ServiceError(isCode(code) ? code : fallback, typeof message === "string" ? message : "", {
    ...options,
    details: kept,
    ...(retry !== undefined && { retry }),
  });
}

const MAX_DETAILS = 32;

function splitRetry(details: readonly ErrorDetail[]): { kept: ErrorDetail[]; retry: RetryInfo | undefined } {
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

/** `"1.5s"` in milliseconds; undefined when it is not a duration of 0 or more. */
function parseDuration(text: unknown): number | undefined {
  if (typeof text !== "string" || !/^\d{1,12}(\.\d{1,9})?s$/.test(text)) return undefined;
  return Number(text.slice(0, -1)) * 1000;
}

/** The HTTP status of a unary answer that carries the error. */
export function httpStatus(error: ServiceError): number {
  return codes[error.code].http;
}
