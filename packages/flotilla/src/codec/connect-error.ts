import { codeFromHttp, codes, isCode } from "../errors/code.ts";
import { ServiceError } from "../errors/service-error.ts";
import { withoutStack } from "../errors/without-stack.ts";
import { decodeDetail, encodeDetail, type WireDetail } from "./error-details.ts";
import { splitRetry, withRetryDetails } from "./retry-details.ts";

/** An error as the Connect protocol writes it in JSON. */
export interface ConnectErrorJson {
  readonly code: string;
  readonly message?: string;
  readonly details?: readonly WireDetail[];
}

/**
 * The JSON form of an error. Retry information travels as details: google.rpc.RetryInfo, and for "never" an ErrorInfo with
 * reason NO_RETRY.
 */
export function toConnectError(error: ServiceError): ConnectErrorJson {
  const details = withRetryDetails(error).map(encodeDetail);
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
  // It arose elsewhere: a trace from here would show where answers are read.
  return withoutStack(isCode(code) ? code : fallback, typeof message === "string" ? message : "", {
    ...options,
    details: kept,
    ...(retry !== undefined && { retry }),
  });
}

const MAX_DETAILS = 32;

/** The HTTP status of a unary answer that carries the error. */
export function httpStatus(error: ServiceError): number {
  return codes[error.code].http;
}
