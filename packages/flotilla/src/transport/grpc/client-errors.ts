import { type ClientHttp2Stream, constants } from "node:http2";
import { ServiceError } from "../../errors/service-error.ts";

/** Failures before anything was sent: another attempt cannot do anything twice. */
const NEVER_SENT: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ERR_HTTP2_GOAWAY_SESSION",
  "ERR_HTTP2_INVALID_SESSION",
  "ERR_FLOTILLA_CONNECT_TIMEOUT",
]);

/**
 * What a stream that ended without a status means to its call.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping".
 *
 * @param gone - whether the connection is.
 */
export function streamFailure(address: string, stream: ClientHttp2Stream, error: unknown, gone: boolean): ServiceError {
  const { rstCode } = stream;
  if (rstCode === constants.NGHTTP2_REFUSED_STREAM) {
    return new ServiceError("unavailable", `${address} did not take the call in`, {
      cause: error,
      retry: { unprocessed: true },
    });
  }
  // A session that ends resets its streams with CANCEL: nobody has cancelled anything.
  if (gone || stream.id === undefined) return lost(address, error, stream.id === undefined);
  switch (rstCode) {
    case constants.NGHTTP2_CANCEL:
      return new ServiceError("canceled", `${address} cancelled the call`, { cause: error });
    case constants.NGHTTP2_ENHANCE_YOUR_CALM:
      return new ServiceError("resource_exhausted", `${address} asks for fewer calls`, { cause: error });
    case constants.NGHTTP2_INADEQUATE_SECURITY:
      return new ServiceError("permission_denied", `${address} wants better encryption`, { cause: error });
    case constants.NGHTTP2_NO_ERROR:
      return new ServiceError("unknown", `${address} ended the call without a grpc-status`, { cause: error });
    default:
      return new ServiceError("internal", `${address} reset the call (HTTP/2 error ${rstCode})`, { cause: error });
  }
}

/** The connection could not be opened, or broke. */
function lost(address: string, error: unknown, unsent: boolean): ServiceError {
  if (error instanceof ServiceError) return error;
  const code = codeOf(error);
  const neverSent = unsent || (code !== undefined && NEVER_SENT.has(code));
  const message = error instanceof Error ? error.message : "it was closed";
  return new ServiceError(
    "unavailable",
    `${neverSent ? "cannot connect to" : "lost the connection to"} ${address}: ${message}`,
    { ...(error !== undefined && { cause: error }), ...(neverSent && { retry: { unprocessed: true } }) },
  );
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as NodeJS.ErrnoException;
  // With several addresses of one name Node wraps the failures of each.
  if (code === undefined && error instanceof AggregateError) return codeOf(error.errors[0]);
  return code;
}
