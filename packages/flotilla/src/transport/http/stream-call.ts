import { chooseEncoding, compress, decompress, type Encoding, parseEncoding } from "../../codec/compression.ts";
import { toConnectError } from "../../codec/connect-error.ts";
import { drained } from "../../codec/drained.ts";
import { COMPRESSED, decodeEnvelopes, END_STREAM, encodeEnvelope, encodeTextEnvelope } from "../../codec/envelope.ts";
import { jsonText } from "../../codec/json.ts";
import { parseConnectTimeout } from "../../codec/timeout.ts";
import { sentMetadata } from "../../endpoint/error-metadata.ts";
import { Outgoing } from "../../endpoint/outgoing.ts";
import type { BoundMethod } from "../../endpoint/service.ts";
import type { Code } from "../../errors/code.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { readBody } from "./body-reader.ts";
import { baseType } from "./connect-unary.ts";
import type { Request, Response } from "./http-message.ts";
import { linger } from "./linger.ts";
import type { RequestHead } from "./request-head.ts";
import { HttpServerCall, type ServerState } from "./server-call.ts";

/**
 * A streaming call of the Connect protocol: messages in envelopes both ways, the outcome in the last one.
 *
 * Source: https://connectrpc.com/docs/protocol/#streaming-rpcs
 */
class StreamCall extends HttpServerCall {
  private readonly method: BoundMethod;
  private binary = false;
  private requestEncoding: Encoding | undefined = undefined;
  private responseEncoding: Encoding | undefined = undefined;
  private responses: Outgoing<unknown> | undefined = undefined;

  constructor(
    state: ServerState,
    method: BoundMethod,
    req: Request,
    res: Response,
    head: RequestHead,
    timeoutMs: number,
  ) {
    super(state, method.info, req, res, head, timeoutMs);
    this.method = method;
  }

  get protocol(): string {
    return "connect";
  }

  /** @param bad - what was wrong with the request so far. */
  start(bad: unknown): void {
    this.req.on("error", () => {});
    this.res.on("error", () => {});
    const type = baseType(this.head.contentType);
    const { info } = this;
    if (type === "application/connect+proto" && info.input.binary !== undefined) this.binary = true;
    else if (type !== "application/connect+json") {
      return this.refuse(
        415,
        [],
        `content-type ${JSON.stringify(type ?? "")} is not supported: send application/connect+json`,
      );
    }
    if (info.kind === "bidi_stream" && this.req.httpVersionMajor < 2) {
      return this.refuse(505, ["connection", "close"], `${info.procedure} streams both ways, which needs HTTP/2`);
    }
    this.watch();
    if (bad !== undefined) return this.fail(bad);
    try {
      this.requestEncoding = parseEncoding(this.head.streamEncoding, "unimplemented");
    } catch (error) {
      return this.fail(error);
    }
    this.responseEncoding = chooseEncoding(this.head.streamAcceptEncoding);
    if (!this.before()) return;
    const refused = this.ctx.err ?? this.method.refuses?.(this.ctx);
    if (refused !== undefined) return this.fail(refused);
    this.run().catch((error: unknown) => this.fail(error));
  }

  private async run(): Promise<void> {
    const { info } = this;
    const requests = this.requests();
    const streamsIn = info.kind !== "server_stream";
    const request = streamsIn ? requests : await single(requests, info.procedure);
    const response = await this.method.endpoint(this.ctx, request);
    if (info.kind === "client_stream") await this.write(response);
    else await this.writeAll(response as AsyncIterable<unknown>);
    if (this.answered) return;
    this.answered = true;
    this.writeHead();
    this.finish(undefined);
    this.end("ok", undefined);
  }

  private async *requests(): AsyncGenerator {
    const { maxMessageBytes } = this.state.settings;
    const { input } = this.info;
    const body = readBody(this.req, this.ctx, (count) => {
      this.requestBytes += count;
    });
    for await (const { flags, data } of decodeEnvelopes(body, maxMessageBytes, "invalid_argument")) {
      if (flags & END_STREAM)
        throw new ServiceError("invalid_argument", "a request stream has no end-of-stream message");
      let plain = data;
      if (flags & COMPRESSED) {
        if (this.requestEncoding === undefined) {
          throw new ServiceError(
            "internal",
            "a message is compressed but header connect-content-encoding names no encoding",
          );
        }
        plain = await decompress(this.requestEncoding, data, maxMessageBytes, "invalid_argument");
      }
      yield this.binary ? input.binary!.decode(plain) : input.fromJson(jsonText(plain));
    }
  }

  private async writeAll(responses: AsyncIterable<unknown>): Promise<void> {
    this.responses = new Outgoing(responses);
    for await (const response of this.responses) {
      if (this.answered) return;
      await this.write(response);
    }
  }

  protected override end(code: "ok" | Code, error: ServiceError | undefined): void {
    super.end(code, error);
    this.responses?.leave();
  }

  private async write(message: unknown): Promise<void> {
    if (this.answered) return;
    const { output } = this.info;
    const { compressMinBytes } = this.state.settings;
    let frame: Buffer;
    if (this.binary) frame = encodeEnvelope(0, output.binary!.encode(message));
    else frame = encodeTextEnvelope(0, output.toJson(message));
    if (this.responseEncoding !== undefined && compressMinBytes !== false && frame.byteLength - 5 >= compressMinBytes) {
      frame = encodeEnvelope(COMPRESSED, await compress(this.responseEncoding, frame.subarray(5)));
      if (this.answered) return;
    }
    this.writeHead();
    this.responseBytes += frame.byteLength;
    if (!this.res.write(frame)) await drained(this.res);
  }

  private writeHead(): void {
    if (this.res.headersSent) return;
    const headers = ["content-type", this.binary ? "application/connect+proto" : "application/connect+json"];
    headers.push("connect-accept-encoding", "br, gzip");
    if (this.responseEncoding !== undefined) headers.push("connect-content-encoding", this.responseEncoding);
    this.addHeaders(headers);
    this.res.writeHead(200, headers);
  }

  private finish(error: ServiceError | undefined): void {
    const told = error === undefined ? undefined : sentMetadata(this.ctx, error, this.info);
    const metadata: Record<string, string[]> = {};
    for (const [name, value] of Object.entries({ ...this.trailers(), ...told })) {
      if (value !== undefined) metadata[name] = typeof value === "string" ? [value] : value;
    }
    const frame = encodeTextEnvelope(
      END_STREAM,
      JSON.stringify({
        ...(error !== undefined && { error: toConnectError(error) }),
        ...(Object.keys(metadata).length > 0 && { metadata }),
      }),
    );
    this.responseBytes += frame.byteLength;
    this.res.end(frame);
    if (!this.req.readableEnded) linger(this.req, this.state.root.clock);
  }

  protected sendError(error: ServiceError): void {
    this.writeHead();
    this.finish(error);
  }

  private refuse(status: number, headers: string[], message: string): void {
    const error = new ServiceError("unimplemented", message);
    const body = JSON.stringify(toConnectError(error));
    this.answered = true;
    this.send(
      status,
      [...headers, "accept-post", "application/connect+json", "content-type", "application/json"],
      body,
    );
    this.end("unimplemented", error);
  }
}

/** Starts the call. Streams have no deadline but the caller's and the method's own. */
export function serveStream(
  state: ServerState,
  method: BoundMethod,
  req: Request,
  res: Response,
  head: RequestHead,
): void {
  let timeoutMs = method.info.timeoutMs ?? Infinity;
  let bad: unknown;
  if (head.timeout !== undefined) {
    try {
      timeoutMs = Math.min(timeoutMs, parseConnectTimeout(head.timeout));
    } catch (error) {
      bad = error;
    }
  }
  new StreamCall(state, method, req, res, head, timeoutMs).start(bad);
}

async function single(messages: AsyncGenerator, procedure: string): Promise<unknown> {
  const first = await messages.next();
  if (first.done) throw new ServiceError("unimplemented", `${procedure} takes exactly one request message, got none`);
  const second = await messages.next();
  if (!second.done) {
    await messages.return(undefined);
    throw new ServiceError("unimplemented", `${procedure} takes exactly one request message, got more`);
  }
  return first.value;
}
