import { EventEmitter } from "node:events";
import { Readable } from "node:stream";
import { formatConnectTimeout } from "../../../codec/timeout.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { Metadata, type MetadataRecord, newRecord } from "../../../metadata/metadata.ts";
import type { Request } from "../http-message.ts";
import type { ApiGatewayEventV1, ApiGatewayEventV2, InvokeEvent } from "./events.ts";

/** An event as the request of HTTP that it stands for. */
interface EventRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Names, in lower case, and values in turn. */
  readonly headers: string[];
  readonly body: Buffer;
  readonly sourceIp: string;
}

/**
 * The header under which handlers find the event's `requestContext`, as JSON: who was authorised as what, the stage, the request's id. One
 * that the client has sent is thrown away.
 */
export const REQUEST_CONTEXT_HEADER = "x-amzn-request-context";

/** Headers that speak of a connection and a body as they were before the event was made. */
const NOT_PASSED: ReadonlySet<string> = new Set([
  "content-length",
  "transfer-encoding",
  "connection",
  "keep-alive",
  REQUEST_CONTEXT_HEADER,
]);

/** Headers that an invocation has itself: the input and the output are JSON, and plain. */
const OF_INVOKE: ReadonlySet<string> = new Set([
  "host",
  "content-type",
  "content-encoding",
  "connect-protocol-version",
]);

/** What can stand in a path as it is. HTTP APIs decode the path, others do not: what is decoded is encoded, the rest is left alone. */
const TO_ENCODE = /[^\w\-.~!$&'()*+,;=:@%/]|%(?![\dA-Fa-f]{2})/gu;

export function fromV2(event: ApiGatewayEventV2, basePath: string): EventRequest {
  const { http } = event.requestContext;
  const headers: string[] = [];
  for (const [name, value] of Object.entries(event.headers ?? {})) add(headers, name, value);
  const cookies = [event.cookies ?? []].flat();
  if (cookies.length > 0) add(headers, "cookie", cookies.join("; "));
  headers.push(REQUEST_CONTEXT_HEADER, JSON.stringify(event.requestContext));
  const query = event.rawQueryString;
  const path = pathOf(event.rawPath, event.requestContext, basePath);
  return {
    method: http.method,
    target: query ? `${path}?${query}` : path,
    headers,
    body: bodyOf(event),
    sourceIp: http.sourceIp ?? "unknown",
  };
}

export function fromV1(event: ApiGatewayEventV1, basePath: string): EventRequest {
  const { multiValueHeaders, multiValueQueryStringParameters: queries, requestContext } = event;
  const headers: string[] = [];
  for (const [name, values] of Object.entries(multiValueHeaders ?? event.headers ?? {})) {
    for (const value of [values ?? []].flat()) add(headers, name, value);
  }
  headers.push(REQUEST_CONTEXT_HEADER, JSON.stringify(requestContext));
  const query = new URLSearchParams();
  for (const [name, values] of Object.entries(queries ?? event.queryStringParameters ?? {})) {
    for (const value of [values ?? []].flat()) query.append(name, textOf(value, `query ${name}`) ?? "");
  }
  // An HTTP API has the stage in the path, a REST API has not.
  const path = pathOf(event.path, event.version === undefined ? {} : requestContext, basePath);
  return {
    method: event.httpMethod,
    target: query.size > 0 ? `${path}?${query.toString()}` : path,
    headers,
    body: bodyOf(event),
    sourceIp: requestContext.identity?.sourceIp ?? "unknown",
  };
}

/** A call by the Connect protocol. @throws ServiceError `invalid_argument` for metadata that cannot be headers. */
export function fromInvoke({ method, input = {}, metadata }: InvokeEvent): EventRequest {
  const headers = ["host", "lambda", "content-type", "application/json", "connect-protocol-version", "1"];
  for (const [name, value] of metadataOf(metadata).entries()) if (!OF_INVOKE.has(name)) add(headers, name, value);
  const body = Buffer.from(JSON.stringify(input));
  return { method: "POST", target: `/${method}`, headers, body, sourceIp: "lambda" };
}

function metadataOf(given: InvokeEvent["metadata"]): Metadata {
  const metadata = new Metadata();
  try {
    for (const [name, values] of Object.entries(given ?? {})) {
      for (const value of [values].flat()) {
        if (typeof value === "string") metadata.append(name, value);
        else throw new TypeError(`metadata "${name}" must be a string, or a list of strings, got ${String(value)}`);
      }
    }
  } catch (error) {
    throw new ServiceError("invalid_argument", (error as TypeError).message, { cause: error });
  }
  return metadata;
}

function add(headers: string[], name: string, value: string | null | undefined): void {
  const key = name.toLowerCase();
  const text = textOf(value, `header ${name}`);
  if (text !== undefined && !NOT_PASSED.has(key)) headers.push(key, text);
}

function bodyOf({ body, isBase64Encoded }: { body?: string | null; isBase64Encoded?: boolean }): Buffer {
  return Buffer.from(textOf(body, "body") ?? "", isBase64Encoded === true ? "base64" : "utf8");
}

/** The platform sends text; whoever invokes the function by itself may send anything. @throws TypeError for what is neither text nor left out. */
function textOf(value: unknown, what: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return value;
  throw new TypeError(`lambda: the event's ${what.slice(0, 64)} must be a string, got ${typeof value}`);
}

/** The path as the client meant it: without the stage, which stands in it at the API's own address, and without `basePath`. */
function pathOf(
  raw: string,
  { stage, apiId, domainPrefix }: { stage?: string; apiId?: string; domainPrefix?: string },
  basePath: string,
): string {
  let path = raw.startsWith("/") ? raw : `/${raw}`;
  if (stage !== undefined && stage !== "$default" && apiId === domainPrefix) path = without(path, `/${stage}`);
  return without(path, basePath).toWellFormed().replace(TO_ENCODE, encodeURIComponent);
}

function without(path: string, prefix: string): string {
  if (path === prefix) return "/";
  return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path;
}

/** The request of an event, with all that the HTTP server uses of node's own. */
export class LambdaRequest extends Readable {
  readonly method: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly httpVersion = "1.1";
  readonly httpVersionMajor = 1;
  readonly httpVersionMinor = 1;
  /** Nothing of the body is still to come. */
  readonly complete = true;
  readonly socket: EventEmitter & { readonly remoteAddress: string };
  readonly #body: Buffer;
  #headers: MetadataRecord | undefined;

  /**
   * @param leftMs - what the invocation leaves the call, milliseconds; Infinity when that is not known.
   * @param plain - whether the answer must not be compressed, whatever the client accepts.
   */
  constructor({ method, target, headers, body, sourceIp }: EventRequest, leftMs: number, plain: boolean) {
    super({ autoDestroy: false });
    this.method = method;
    this.url = target;
    const raw = plain ? withoutHeader(headers, "accept-encoding") : headers.slice();
    if (body.byteLength > 0) raw.push("content-length", String(body.byteLength));
    if (leftMs !== Infinity) limit(raw, leftMs);
    this.rawHeaders = raw;
    this.#body = body;
    this.socket = Object.assign(new EventEmitter(), { remoteAddress: sourceIp });
  }

  get headers(): MetadataRecord {
    if (this.#headers !== undefined) return this.#headers;
    const headers = newRecord();
    for (let i = 0; i < this.rawHeaders.length; i += 2) {
      const name = this.rawHeaders[i]!;
      const value = this.rawHeaders[i + 1]!;
      const present = headers[name];
      headers[name] = present === undefined ? value : `${String(present)}${name === "cookie" ? "; " : ", "}${value}`;
    }
    this.#headers = headers;
    return headers;
  }

  override _read(): void {
    if (this.#body.byteLength > 0) this.push(this.#body);
    this.push(null);
  }

  /** As the server knows requests. */
  asRequest(): Request {
    return this as unknown as Request;
  }
}

function withoutHeader(headers: readonly string[], name: string): string[] {
  return headers.filter((_, i) => headers[i - (i % 2)] !== name);
}

/** Has the call end before the invocation does. What the caller asked for counts when it is earlier, or cannot be read. */
function limit(headers: string[], leftMs: number): void {
  let asked = false;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== "connect-timeout-ms") continue;
    asked = true;
    if (Number(headers[i + 1]) > leftMs) headers[i + 1] = formatConnectTimeout(leftMs);
  }
  if (!asked) headers.push("connect-timeout-ms", formatConnectTimeout(leftMs));
}
