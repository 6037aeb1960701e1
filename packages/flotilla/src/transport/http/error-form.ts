import { toConnectError } from "../../codec/connect-error.ts";
import { END_STREAM, encodeTextEnvelope } from "../../codec/envelope.ts";
import { encodeMessage, fittingMessage } from "../../codec/grpc-message.ts";
import { codes } from "../../errors/code.ts";
import type { ServiceError } from "../../errors/service-error.ts";
import { problemJson } from "./rest-call.ts";

/** A whole answer that is an error. */
export interface ErrorForm {
  readonly status: number;
  /** Names and values in turn. */
  readonly headers: string[];
  /** Empty where the headers say it all. */
  readonly body: string | Uint8Array;
}

const GRPC = /^application\/grpc(?:-web(?:-text)?)?(?:$|[+; ])/;
const CONNECT_STREAM = "application/connect+";

/**
 * An error as whoever asked expects it: as Connect, gRPC or gRPC-Web write it for those who speak these, else as problem+json. Streams of Connect and all of gRPC
 * look at the status of HTTP only where nothing else is told, and would take a deadline that has passed for a server that is away.
 *
 * @param contentType - of the request.
 * @param connect - whether the request says that it is one of Connect.
 */
export function errorForm(
  contentType: string | undefined,
  connect: boolean,
  error: ServiceError,
  status: number,
): ErrorForm {
  if (contentType !== undefined && GRPC.test(contentType)) {
    return { status: 200, headers: ["content-type", contentType, ...grpcStatus(error)], body: "" };
  }
  if (contentType?.startsWith(CONNECT_STREAM)) {
    const end = encodeTextEnvelope(END_STREAM, JSON.stringify({ error: toConnectError(error) }));
    return { status: 200, headers: ["content-type", contentType], body: end };
  }
  return connect
    ? { status, headers: ["content-type", "application/json"], body: JSON.stringify(toConnectError(error)) }
    : { status, headers: ["content-type", "application/problem+json"], body: problemJson(error, status) };
}

function grpcStatus({ code, message, retry }: ServiceError): string[] {
  const headers = ["grpc-status", String(codes[code].grpc)];
  if (message !== "") headers.push("grpc-message", encodeMessage(fittingMessage(message)));
  if (retry?.never) headers.push("grpc-retry-pushback-ms", "-1");
  else if (retry?.afterMs !== undefined) headers.push("grpc-retry-pushback-ms", String(Math.ceil(retry.afterMs)));
  return headers;
}
