import { fromConnectError } from "../../codec/connect-error.ts";
import { isCode } from "../../errors/code.ts";
import { ServiceError } from "../../errors/service-error.ts";
import type { MetadataRecord } from "../../metadata/metadata.ts";

/** Failures before anything was sent: another attempt cannot do anything twice. */
const NEVER_SENT: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/**
 * The ServiceError for a connection that could not be opened or that broke.
 *
 * @param unsent - whether it is known that the request was not sent. Default: as the error itself tells.
 */
export function connectionError(address: string, error: unknown, unsent = false): ServiceError {
  if (error instanceof ServiceError) return error;
  const code = codeOf(error);
  if (code === "UND_ERR_HEADERS_OVERFLOW") {
    return new ServiceError("resource_exhausted", `${address} sent too many headers`, { cause: error });
  }
  const message = error instanceof Error ? error.message : String(error);
  const neverSent = unsent || (code !== undefined && NEVER_SENT.has(code));
  return new ServiceError(
    "unavailable",
    `${neverSent ? "cannot connect to" : "lost the connection to"} ${address}: ${message}`,
    {
      cause: error,
      ...(neverSent && { retry: { unprocessed: true } }),
    },
  );
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as NodeJS.ErrnoException;
  // With several addresses of one name Node wraps the failures of each.
  if (code === undefined && error instanceof AggregateError) return codeOf(error.errors[0]);
  // A stream that waited for a connection which never came.
  if (code === "ERR_HTTP2_STREAM_CANCEL") return codeOf(error.cause) ?? code;
  return code;
}

/** The ServiceError in a unary answer that is no success. Retry-After of a proxy counts as the server's own word. */
export function responseError(status: number, headers: MetadataRecord, body: Buffer): ServiceError {
  const error = fromConnectError(told(String(headers["content-type"] ?? ""), body), status, metadataOf(headers));
  const after = headers["retry-after"];
  if (error.retry?.afterMs !== undefined || typeof after !== "string" || !/^\d{1,9}$/.test(after)) return error;
  return new ServiceError(error.code, error.message, {
    details: error.details,
    retry: { ...error.retry, afterMs: Number(after) * 1000 },
    ...(error.metadata !== undefined && { metadata: error.metadata }),
  });
}

/** What a body says of the error; undefined when that is nothing that is known here, and the status has to do. */
function told(contentType: string, body: Buffer): unknown {
  const problem = contentType.startsWith("application/problem+json");
  if (!problem && !contentType.startsWith("application/json")) return undefined;
  try {
    const json = JSON.parse(body.toString("utf8")) as unknown;
    if (!problem) return json;
    // Of a proxy, or another server of ours, that does not know what is spoken: others have no code, or one of their own.
    const { code, detail } = Object(json) as { code?: unknown; detail?: unknown };
    return isCode(code) ? { code, message: detail } : undefined;
  } catch {
    return undefined;
  }
}

/** Headers that belong to the protocol or the connection, not to the error. */
const NOT_METADATA =
  /^(?:content-.*|date|connection|keep-alive|transfer-encoding|vary|server|retry-after|access-control-.*|accept-.*)$/;

/** What came with a unary error: its headers and its trailers, which are headers with a prefix. */
export function metadataOf(headers: MetadataRecord): Record<string, string> {
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || NOT_METADATA.test(name)) continue;
    const plain = name.startsWith("trailer-") ? name.slice("trailer-".length) : name;
    metadata[plain] = typeof value === "string" ? value : value.join(", ");
  }
  return metadata;
}
