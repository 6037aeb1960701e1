import { hash } from "node:crypto";
import { STATUS_CODES } from "node:http";
import { jsonText } from "../../codec/json.ts";
import { codes } from "../../errors/code.ts";
import { type BadRequest, detailTypes, type ErrorInfo, findDetail } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { baseType } from "./connect-unary.ts";
import type { RestInput } from "./rest-input.ts";
import { UnaryCall } from "./unary-call.ts";

/** A call of a declared REST route: fields from path, query and JSON body; errors as problem+json (RFC 9457). */
export class RestCall extends UnaryCall {
  private input!: RestInput;
  private parameters: readonly string[] = [];
  private query: string | undefined = undefined;

  get protocol(): string {
    return "rest";
  }

  start(input: RestInput, parameters: readonly string[], query: string | undefined): void {
    this.input = input;
    this.parameters = parameters;
    this.query = query;
    const type = baseType(this.head.contentType);
    const hasBody =
      this.head.contentLength !== undefined
        ? this.head.contentLength !== "0"
        : this.head.transferEncoding !== undefined;
    if (hasBody && type !== "application/json" && !type?.endsWith("+json")) {
      this.answered = true;
      const error = new ServiceError(
        "invalid_argument",
        `content-type ${JSON.stringify(type ?? "")} is not supported: send application/json`,
      );
      const { headers, body } = this.encodeError(error, 415);
      this.send(415, ["accept-post", "application/json", ...headers], body);
      this.end(error.code, error);
      return;
    }
    if (this.before()) this.readBody();
  }

  protected decode(body: Buffer): unknown {
    return this.input.message(this.parameters, this.query, jsonText(body));
  }

  protected sendResponse(response: unknown): void {
    const rest = this.info.rest!;
    if (response === undefined || response === null) {
      this.answered = true;
      const headers: string[] = [];
      this.addMetadata(headers);
      this.send(204, headers, undefined);
      this.end("ok", undefined);
      return;
    }
    const text = this.info.output.toJson(response);
    const headers = ["content-type", "application/json"];
    if (rest.method === "GET" && rest.status === 200) {
      // Weak: the same representation may go out compressed or not.
      const etag = `W/"${hash("sha1", text, "base64url")}"`;
      headers.push("etag", etag);
      if (matches(this.head.ifNoneMatch, etag)) {
        this.answered = true;
        const unchanged = ["etag", etag];
        this.addMetadata(unchanged);
        this.send(304, unchanged, undefined);
        this.end("ok", undefined);
        return;
      }
    }
    this.sendBody(rest.status, headers, text, Buffer.byteLength(text));
  }

  protected override encodeError(
    error: ServiceError,
    as?: number,
  ): { status: number; headers: string[]; body: string } {
    // The other meaning of its code invites to try again.
    const status = as ?? (this.oversized ? 413 : codes[error.code].http);
    return { status, headers: ["content-type", "application/problem+json"], body: problemJson(error, status) };
  }
}

/**
 * The body of a problem+json answer (RFC 9457): `detail` is the message, `code` the canonical code, `reason` that of an ErrorInfo, `errors` the
 * fields, `details` all other typed details, each with its type as `@type`.
 */
export function problemJson(error: ServiceError, status: number): string {
  const violations = findDetail<BadRequest>(error, detailTypes.badRequest)?.fieldViolations;
  const reason = findDetail<ErrorInfo>(error, detailTypes.errorInfo)?.reason;
  const details = error.details.flatMap(({ type, value }) =>
    type === detailTypes.badRequest ? [] : [{ ...Object(value), "@type": type }],
  );
  return JSON.stringify({
    type: "about:blank",
    // For about:blank the title is the status phrase; 499 has none.
    title: STATUS_CODES[status] ?? codes[error.code].title,
    status,
    ...(error.message !== "" && { detail: error.message }),
    code: error.code,
    ...(reason !== undefined && { reason }),
    ...(violations !== undefined && { errors: violations }),
    ...(details.length > 0 && { details }),
  });
}

/** If-None-Match (RFC 9110, section 13.1.2), by weak comparison. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === "*") return true;
  const opaque = etag.slice(2);
  return header.split(",").some((candidate) => candidate.trim().replace(/^W\//, "") === opaque);
}
