import { decompress, parseEncoding } from "../../codec/compression.ts";
import { jsonText } from "../../codec/json.ts";
import { parseConnectTimeout } from "../../codec/timeout.ts";
import type { MessageType } from "../../endpoint/message-type.ts";
import type { BoundMethod } from "../../endpoint/service.ts";
import { ServiceError } from "../../errors/service-error.ts";
import type { Request, Response } from "./http-message.ts";
import type { RequestHead } from "./request-head.ts";
import type { ServerState } from "./server-call.ts";
import { UnaryCall } from "./unary-call.ts";

/**
 * A unary call of the Connect protocol: POST with the message as the body, or GET with it in the query for safe methods.
 *
 * Source: https://connectrpc.com/docs/protocol/#unary-rpcs
 */
class ConnectUnaryCall extends UnaryCall {
  private binary = false;

  get protocol(): string {
    return "connect";
  }

  /** Starts a POST. */
  post(): void {
    const type = this.head.contentType;
    if (type === "application/json" || baseType(type) === "application/json") this.binary = false;
    else if (type === "application/proto" && this.info.input.binary !== undefined) this.binary = true;
    else return this.refuseType(type);
    if (this.checkVersion(this.head.protocolVersion) && this.before()) this.readBody();
  }

  /** Starts a GET. */
  get(query: string): void {
    if (!this.before()) return;
    this.watch();
    this.req.resume();
    this.readQuery(query).then(
      (body) => this.invoke(body),
      (error: unknown) => this.fail(error),
    );
  }

  private async readQuery(query: string): Promise<Buffer> {
    const parameters = new URLSearchParams(query);
    const version = parameters.get("connect");
    if (version !== null && version !== "v1") {
      throw new ServiceError(
        "invalid_argument",
        `query parameter connect must be "v1", got ${JSON.stringify(version)}`,
      );
    }
    const encoding = parameters.get("encoding");
    if (encoding === "proto" && this.info.input.binary !== undefined) this.binary = true;
    else if (encoding !== "json") {
      throw new ServiceError(
        "invalid_argument",
        `query parameter encoding must be ${this.formats()}, got ${JSON.stringify(encoding)}`,
      );
    }
    const message = parameters.get("message");
    if (message === null) throw new ServiceError("invalid_argument", "query parameter message is missing");
    const body = Buffer.from(message, parameters.get("base64") === "1" ? "base64url" : "utf8");
    this.requestBytes = body.byteLength;
    const compression = parseEncoding(parameters.get("compression") ?? undefined, "unimplemented");
    return compression === undefined
      ? body
      : decompress(compression, body, this.state.settings.maxBodyBytes, "invalid_argument");
  }

  protected decode(body: Buffer): unknown {
    const { input } = this.info;
    // A message without fields may have no bytes at all in protobuf; in JSON it is at least {}.
    return this.binary ? binaryOf(input).decode(body) : input.fromJson(jsonText(body));
  }

  protected sendResponse(response: unknown): void {
    const { output } = this.info;
    if (this.binary) {
      const bytes = binaryOf(output).encode(response);
      const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      return this.sendBody(200, ["content-type", "application/proto"], body, body.byteLength);
    }
    const text = output.toJson(response);
    this.sendBody(200, ["content-type", "application/json"], text, Buffer.byteLength(text));
  }

  private checkVersion(version: string | undefined): boolean {
    if (version === "1" || version === undefined) return true;
    this.fail(
      new ServiceError(
        "invalid_argument",
        `header connect-protocol-version must be "1", got ${JSON.stringify(version)}`,
      ),
    );
    return false;
  }

  private formats(): string {
    return this.info.input.binary === undefined ? '"json"' : '"json" or "proto"';
  }

  private refuseType(type: string | undefined): void {
    const accepted = this.info.input.binary === undefined ? "application/json" : "application/json, application/proto";
    const body = JSON.stringify({
      code: "unimplemented",
      message: `content-type ${JSON.stringify(type ?? "")} is not supported by ${this.info.procedure}: send ${accepted}`,
    });
    this.answered = true;
    this.responseBytes = Buffer.byteLength(body);
    this.send(
      415,
      ["accept-post", accepted, "content-type", "application/json", "content-length", String(this.responseBytes)],
      body,
    );
    this.end("unimplemented", new ServiceError("unimplemented", `unsupported content-type ${type}`));
  }
}

/** Starts the call; an unreadable timeout header is answered like any other bad argument. */
export function serveConnectUnary(
  state: ServerState,
  method: BoundMethod,
  req: Request,
  res: Response,
  head: RequestHead,
  query: string | undefined,
): void {
  const own = method.info.timeoutMs ?? state.settings.timeoutMs;
  let timeoutMs = own;
  let bad: unknown;
  if (head.timeout !== undefined) {
    try {
      timeoutMs = Math.min(own, parseConnectTimeout(head.timeout));
    } catch (error) {
      bad = error;
    }
  }
  const call = new ConnectUnaryCall(state, method, req, res, head, timeoutMs);
  if (bad !== undefined) call.fail(bad);
  else if (query === undefined) call.post();
  else call.get(query);
}

function binaryOf(type: MessageType): NonNullable<MessageType["binary"]> {
  if (type.binary === undefined) throw new ServiceError("unimplemented", "this message has no protobuf form");
  return type.binary;
}

/** `application/json; charset=utf-8` without its parameters, in lower case. */
export function baseType(type: string | undefined): string | undefined {
  if (type === undefined) return undefined;
  const end = type.indexOf(";");
  return (end < 0 ? type : type.slice(0, end)).trim().toLowerCase();
}
