import { chooseEncoding, compress, decompress, type Encoding, parseEncoding } from "../../codec/compression.ts";
import { httpStatus, toConnectError } from "../../codec/connect-error.ts";
import { sentMetadata } from "../../endpoint/error-metadata.ts";
import type { BoundMethod } from "../../endpoint/service.ts";
import { ServiceError } from "../../errors/service-error.ts";
import type { Request, Response } from "./http-message.ts";
import type { RequestHead } from "./request-head.ts";
import { flatten, HttpServerCall, type ServerState } from "./server-call.ts";

/** A call of a unary method: the whole request is read, the endpoint called once, the whole answer written. */
export abstract class UnaryCall extends HttpServerCall {
  protected readonly method: BoundMethod;
  private readonly timeoutMs: number;
  private chunks: Buffer[] | undefined = undefined;
  private first: Buffer | undefined = undefined;
  /** The request's body is over the limit. */
  protected oversized = false;

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
    this.timeoutMs = timeoutMs;
  }

  /** Reads the request message out of the body. May throw. */
  protected abstract decode(body: Buffer): unknown;

  /** Writes the answer. May throw. */
  protected abstract sendResponse(response: unknown): void;

  /** Reads the body, then calls the endpoint, unless the call is refused anyway. */
  protected readBody(): void {
    const refused = this.method.refuses?.(this.ctx);
    if (refused !== undefined) return this.fail(refused);
    const limit = this.state.settings.maxBodyBytes;
    const { req } = this;
    if (this.head.contentLength !== undefined && Number(this.head.contentLength) > limit) {
      return this.failOversized();
    }
    this.watchSoon(this.timeoutMs);
    req.on("data", (chunk: Buffer) => {
      this.requestBytes += chunk.byteLength;
      if (this.answered) return;
      if (this.requestBytes > limit) {
        this.chunks = this.first = undefined;
        this.failOversized();
      } else if (this.first === undefined) this.first = chunk;
      else (this.chunks ??= [this.first]).push(chunk);
    });
    req.on("end", () => {
      if (!this.answered) this.received();
    });
    // Told through the close of the response; only HTTP/2's request insists on being heard.
    if (req.httpVersionMajor === 2) req.on("error", ignore);
  }

  private failOversized(): void {
    this.oversized = true;
    const limit = this.state.settings.maxBodyBytes;
    this.fail(new ServiceError("resource_exhausted", `the request body is over the limit of ${limit} bytes`));
  }

  private received(): void {
    const body = this.chunks !== undefined ? Buffer.concat(this.chunks) : (this.first ?? Buffer.alloc(0));
    this.chunks = this.first = undefined;
    let encoding: Encoding | undefined;
    try {
      encoding = parseEncoding(this.head.contentEncoding, "unimplemented");
    } catch (error) {
      return this.fail(error);
    }
    if (encoding === undefined) this.invoke(body);
    else {
      decompress(encoding, body, this.state.settings.maxBodyBytes, "invalid_argument").then(
        (plain) => this.invoke(plain),
        (error: unknown) => {
          this.oversized = ServiceError.from(error).code === "resource_exhausted";
          this.fail(error);
        },
      );
    }
  }

  /** Calls the endpoint with the message in `body`. */
  protected invoke(body: Buffer): void {
    if (this.answered) return;
    // Out of time on arrival: no work is begun.
    const { err } = this.ctx;
    if (err !== undefined) return this.fail(err);
    let pending: Promise<unknown>;
    try {
      pending = this.method.endpoint(this.ctx, this.decode(body));
    } catch (error) {
      return this.fail(error);
    }
    pending.then(
      (response) => this.succeed(response),
      (error: unknown) => this.fail(error),
    );
  }

  private succeed(response: unknown): void {
    if (this.answered) return;
    try {
      this.state.settings.hooks.after?.(this.ctx, this, response);
      this.sendResponse(response);
    } catch (error) {
      this.failLate(error);
    }
  }

  /** The answer itself could not be written. */
  private failLate(error: unknown): void {
    this.answered = false;
    this.fail(error);
  }

  /** Sends a body, compressed where it pays and the peer accepts it, and ends the call. */
  protected sendBody(status: number, headers: string[], body: string | Buffer, length: number): void {
    this.answered = true;
    const { compressMinBytes } = this.state.settings;
    const encoding =
      compressMinBytes !== false && length >= compressMinBytes ? chooseEncoding(this.head.acceptEncoding) : undefined;
    if (encoding === undefined) {
      headers.push("content-length", String(length));
      return this.complete(status, headers, body, length);
    }
    compress(encoding, body)
      .then((packed) => {
        headers.push("content-encoding", encoding, "vary", "accept-encoding");
        headers.push("content-length", String(packed.byteLength));
        this.complete(status, headers, packed, packed.byteLength);
      })
      .catch((error: unknown) => this.failLate(error));
  }

  private complete(status: number, headers: string[], body: string | Buffer, length: number): void {
    if (this.over) return;
    this.responseBytes = length;
    this.addMetadata(headers);
    this.send(status, headers, body);
    this.end("ok", undefined);
  }

  protected sendError(error: ServiceError): void {
    const own = this.state.settings.hooks.encodeError?.(error, this);
    const { status, headers, body } = own
      ? { ...own, headers: Object.entries(own.headers).flat() }
      : this.encodeError(error);
    if (error.retry?.afterMs !== undefined) headers.push("retry-after", String(Math.ceil(error.retry.afterMs / 1000)));
    flatten(sentMetadata(this.ctx, error, this.info), "", headers);
    this.addMetadata(headers);
    this.responseBytes = Buffer.byteLength(body);
    headers.push("content-length", String(this.responseBytes));
    this.send(status, headers, body);
  }

  /** The error in the form of the protocol. */
  protected encodeError(error: ServiceError): { status: number; headers: string[]; body: string } {
    const body = JSON.stringify(toConnectError(error));
    return { status: httpStatus(error), headers: ["content-type", "application/json"], body };
  }
}

function ignore(): void {}
