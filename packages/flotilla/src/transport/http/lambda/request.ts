import { EventEmitter } from "node:events";
import { Readable } from "node:stream";
import { formatConnectTimeout } from "../../../codec/timeout.ts";
import { type MetadataRecord, newRecord } from "../../../metadata/metadata.ts";
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

/** What can stand in a path as it is. HTTP APIs decode the path, others do not: what is decoded is encoded, the rest is left alone. */
const TO_ENCODE = /[^\w\-.~!$&'()*+,;=:@%/]|%(?![\dA-Fa-f]{2})/gu;

export function fromV2(event: ApiGatewayEventV2, basePath: string): EventRequest {
  const { http } = event.requestContext;
  const headers: string[] = [];
  for (const [name, value] of Object.entries(event.headers ?? {})) add(headers, name, value);
  if (event.cookies !== undefined && event.cookies.length > 0) add(headers, "cookie", event.cookies.join("; "));
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
    for (const value of typeof values === "string" ? [values] : (values ?? [])) add(headers, name, value);
  }
  headers.push(REQUEST_CONTEXT_HEADER, JSON.stringify(requestContext));
  const query = new URLSearchParams();
  for (const [name, values] of Object.entries(queries ?? event.queryStringParameters ?? {})) {
    for (const value of typeof values === "string" ? [values] : (values ?? [])) query.append(name, value);
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

/** A call by the Connect protocol. */
export function fromInvoke({ method, input = {}, metadata = {} }: InvokeEvent): EventRequest {
  const headers = ["host", "lambda", "content-type", "application/json", "connect-protocol-version", "1"];
  const own = new Set(headers);
  for (const [name, values] of Object.entries(metadata)) {
    if (own.has(name.toLowerCase())) continue;
    for (const value of [values].flat()) add(headers, name, value);
  }
  const body = Buffer.from(JSON.stringify(input));
  return { method: "POST", target: escape(`/${method}`), headers, body, sourceIp: "lambda" };
}

function add(headers: string[], name: string, value: string | undefined): void {
  const key = name.toLowerCase();
  if (value !== undefined && value !== null && !NOT_PASSED.has(key)) headers.push(key, value);
}

function bodyOf({ body, isBase64Encoded }: { body?: string | null; isBase64Encoded?: boolean }): Buffer {
  return Buffer.from(body ?? "", isBase64Encoded === true ? "base64" : "utf8");
}

/** The path as the client meant it: without the stage, which stands in it at the API's own address, and without `basePath`. */
function pathOf(
  raw: string,
  { stage, apiId, domainPrefix }: { stage?: string; apiId?: string; domainPrefix?: string },
  basePath: string,
): string {
  let path = raw.startsWith("/") ? raw : `/${raw}`;
  if (stage !== undefined && stage !== "$default" && apiId === domainPrefix) path = without(path, `/${stage}`);
  return escape(without(path, basePath));
}

function without(path: string, prefix: string): string {
  if (path === prefix) return "/";
  return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : path;
}

function escape(path: string): string {
  return path.toWellFormed().replace(TO_ENCODE, encodeURIComponent);
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

  /** @param leftMs - what the invocation leaves the call, milliseconds; Infinity when that is not known. */
  constructor({ method, target, headers, body, sourceIp }: EventRequest, leftMs: number) {
    super({ autoDestroy: false });
    this.method = method;
    this.url = target;
    const raw = headers.slice();
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

/** Has the call end before the invocation does. What the caller asked for counts when it is earlier, or cannot be read. */
function limit(headers: string[], leftMs: number): void {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== "connect-timeout-ms") continue;
    if (Number(headers[i + 1]) > leftMs) headers[i + 1] = formatConnectTimeout(leftMs);
    return;
  }
  headers.push("connect-timeout-ms", formatConnectTimeout(leftMs));
}
