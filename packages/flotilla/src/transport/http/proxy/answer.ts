import { toRecord } from "../../../codec/header-record.ts";
import { type Code, codeFromHttp, codes } from "../../../errors/code.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { errorForm } from "../error-form.ts";
import type { Request, Response } from "../http-message.ts";
import type { RequestHead } from "../request-head.ts";
import { endToEnd } from "./field-names.ts";
import type { ProxyState } from "./state.ts";
import { isBroken } from "./upstream-errors.ts";

/** The HTTP status of an error of ours. */
export function statusOf(error: ServiceError): number {
  return isBroken(error) ? 502 : codes[error.code].http;
}

/** What the client is told: nothing of addresses and causes, which are for the log. */
function told(error: ServiceError, status: number, service: string): ServiceError {
  const { code, retry } = error;
  const options = retry === undefined ? {} : { retry };
  switch (status) {
    case 500:
      return new ServiceError(code, "internal error", options);
    case 502:
      return new ServiceError(code, `${service} cannot be reached, or broke off before it had answered`, options);
    case 503:
      return new ServiceError(code, `${service} cannot take the request now`, options);
    case 504:
      return new ServiceError(code, `${service} has not answered in time`, options);
    default:
      return error;
  }
}

/** Answers with an error of ours, in the form of Connect or gRPC to who speaks it, else as problem+json. @returns the bytes of the body. */
export function sendError(
  state: ProxyState,
  req: Request,
  res: Response,
  head: RequestHead,
  error: ServiceError,
  status: number,
  extra: readonly string[],
): number {
  const shown = told(error, status, state.settings.service);
  const form = errorForm(head.contentType, head.protocolVersion !== undefined, shown, status);
  const headers = [...form.headers, ...extra];
  if (form.body === "") sendHead(state, req, res, form.status, headers);
  else {
    const bytes = Buffer.byteLength(form.body);
    headers.push("content-length", String(bytes));
    const afterMs = error.retry?.afterMs;
    if (afterMs !== undefined) headers.push("retry-after", String(Math.ceil(afterMs / 1000)));
    state.listener.mark(headers, req);
    res.writeHead(form.status, headers);
    res.end(form.body);
  }
  letGo(state, req);
  return Buffer.byteLength(form.body);
}

/** Sends an answer that is a head alone. */
function sendHead(state: ProxyState, req: Request, res: Response, status: number, headers: string[]): void {
  state.listener.mark(headers, req);
  res.statusCode = status;
  // Not by `writeHead`, which would have an empty frame follow over HTTP/2.
  for (const [name, value] of Object.entries(toRecord(headers))) res.setHeader(name, value);
  res.end();
}

function letGo(state: ProxyState, req: Request): void {
  if (!req.readableEnded) state.listener.linger(req);
}

/** Writes the head of an answer as it is to reach the client. @returns whether trailers can follow. */
export function writeHead(
  state: ProxyState,
  req: Request,
  res: Response,
  status: number,
  raw: readonly string[],
  own: readonly string[],
): boolean {
  let chunked = false;
  let measured = false;
  for (let i = 0; i < raw.length; i += 2) {
    const { length } = raw[i]!;
    if (length === 17 && raw[i]!.toLowerCase() === "transfer-encoding") chunked = true;
    else if (length === 14 && raw[i]!.toLowerCase() === "content-length") measured = true;
  }
  const trailing =
    req.httpVersionMajor > 1 || (req.httpVersionMinor === 1 && (chunked || !measured) && hasBody(req, status));
  const fields = endToEnd(raw);
  const has = new Set<string>();
  const headers: string[] = [];
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!;
    const lower = name.toLowerCase();
    // A length beside chunks is not to be believed (RFC 9112, section 6.3), and 204 has none.
    if (lower === "content-length" && (chunked || status === 204 || has.has(lower))) continue;
    if (lower === "trailer" && !trailing) continue;
    has.add(lower);
    headers.push(name, fields[i + 1]!);
  }
  headers.push(...own);
  // What the listener has to say counts where the upstream has said nothing of it.
  const marks: string[] = [];
  state.listener.mark(marks, req);
  for (let i = 0; i < marks.length; i += 2) {
    if (marks[i] === "vary" || !has.has(marks[i]!)) headers.push(marks[i]!, marks[i + 1]!);
  }
  if (req.httpVersionMajor === 1) {
    res.writeHead(status, headers);
    return trailing;
  }
  // The compatibility response sends what it is given by `writeHead` at once, and without saying that nothing follows. gRPC minds.
  res.statusCode = status;
  for (const [name, value] of Object.entries(toRecord(headers))) res.setHeader(name, value);
  return trailing;
}

function hasBody(req: Request, status: number): boolean {
  return req.method !== "HEAD" && status !== 204 && status !== 304;
}

/** Tells the client that its connection has changed the protocol, and takes it from node's response. */
export function writeSwitch(req: Request, res: Response, raw: readonly string[]): void {
  const { socket } = req;
  res.statusCode = 101;
  res.detachSocket(socket);
  let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
  const fields = endToEnd(raw);
  for (let i = 0; i < fields.length; i += 2) head += `${fields[i]!}: ${fields[i + 1]!}\r\n`;
  socket.write(`${head}\r\n`, "latin1");
}

/** Adds trailers to an answer that is about to end. */
export function writeTrailers(res: Response, trailers: readonly string[]): void {
  const fields = endToEnd(trailers);
  if (fields.length > 0) res.addTrailers(toRecord(fields));
}

/** Passes on an interim answer: early hints, which are all that clients make use of. @returns whether it was one that went out. */
export function sendInterim(req: Request, res: Response, status: number, raw: readonly string[]): boolean {
  // HTTP/1.0 knows no interim answers (RFC 9110, section 15.2).
  if (status !== 103 || res.headersSent || req.httpVersion === "1.0") return false;
  const hints = toRecord(endToEnd(raw));
  // node takes no lists of links.
  const link = [hints["link"] ?? []].flat().flatMap((links) => links.split(/\s*,\s*(?=<)/));
  if (link.length === 0) return false;
  try {
    res.writeEarlyHints({ ...hints, link });
  } catch {
    // Links that node does not understand: they are hints, and the answer is still to come.
    return false;
  }
  return true;
}

/** What an answer that was passed on means. */
export function codeOf(status: number): "ok" | Code {
  return status < 400 ? "ok" : codeFromHttp(status);
}

/** Sends the head of an answer of which nothing more has come yet. */
export function flush(res: Response): void {
  if (!res.writableEnded) res.flushHeaders();
}
