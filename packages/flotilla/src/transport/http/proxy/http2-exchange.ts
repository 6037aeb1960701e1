import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from "node:http2";
import { breakOff, stopSending } from "../../../codec/reset-stream.ts";
import { isWhole } from "../../../codec/whole.ts";
import type { Context } from "../../../context/context.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { readBody } from "../body-reader.ts";
import { isRefused, sendBody } from "../http2-call.ts";
import type { Http2Peer } from "../http2-session.ts";
import { AnswerHead, type ForwardedRequest, type OpenAnswer, type OpenExchange } from "./exchange.ts";
import { whenOver } from "./when-over.ts";

/**
 * Exchanges over HTTP/2. One that the upstream did not take in, because it is about to close the connection, goes over another, unless its
 * body cannot be sent again.
 */
export function http2Exchange(peer: Http2Peer): OpenExchange {
  const open: OpenExchange = (ctx, request) => {
    if (request.upgrade !== undefined) {
      throw new ServiceError("unimplemented", `an upgrade to ${request.upgrade} is not carried over HTTP/2`);
    }
    const headers = request.fields(ctx);
    // An empty one, which HTTP/1.1 allows, is a malformed request here.
    if (request.authority !== undefined && request.authority !== "") headers.push(":authority", request.authority);
    const stream = peer.request(request.verb, request.target, headers, !request.hasBody);
    return new Promise((resolve, reject) => {
      const exchange = new Http2Exchange(ctx, request, peer, stream, resolve, reject);
      if (!request.hasBody) return;
      // Once there is a connection: until then the request may still go elsewhere.
      if (stream.pending) stream.once("ready", () => exchange.send());
      else exchange.send();
    });
  };
  return async (ctx, request) => {
    try {
      return await open(ctx, request);
    } catch (error) {
      if (!isRefused(error) || request.committed) throw error;
      return open(ctx, request);
    }
  };
}

class Http2Exchange implements OpenAnswer {
  head!: AnswerHead;
  readonly body: AsyncIterable<Uint8Array>;
  readonly #request: ForwardedRequest;
  readonly #stream: ClientHttp2Stream;
  readonly #reject: (error: unknown) => void;
  #trailers: readonly string[] = [];
  /** Why it was given up. */
  #failure: ServiceError | undefined;

  constructor(
    ctx: Context,
    request: ForwardedRequest,
    peer: Http2Peer,
    stream: ClientHttp2Stream,
    resolve: (answer: OpenAnswer) => void,
    reject: (error: unknown) => void,
  ) {
    this.#request = request;
    this.#stream = stream;
    this.#reject = reject;
    this.body = this.#read(ctx, peer);
    const stop = whenOver(
      ctx,
      request.lasting,
      () => this.head !== undefined,
      (why) => this.#abandon(why),
    );
    request.stop = (error) => this.#abandon(error);
    stream.on("headers", (headers: IncomingHttpHeaders) => {
      request.interim(Number(headers[":status"]), flat(headers));
    });
    stream.on("response", (headers: IncomingHttpHeaders, flags: number) => {
      const last = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      this.head = new AnswerHead(Number(headers[":status"]), flat(headers), last);
      resolve(this);
    });
    stream.on("trailers", (headers: IncomingHttpHeaders) => {
      this.#trailers = flat(headers);
    });
    stream.on("error", (error: Error) => reject(this.#failure ?? broke(peer, stream, error)));
    stream.on("close", () => {
      stop();
      request.stop = undefined;
      reject(this.#failure ?? broke(peer, stream, new Error("the stream was closed before it was answered")));
    });
  }

  send(): void {
    sendBody(this.#stream, this.#request.body()).catch((error: unknown) => this.#abandon(ServiceError.from(error)));
  }

  trailers(): readonly string[] {
    return this.#trailers;
  }

  #abandon(error: ServiceError): void {
    this.#failure ??= error;
    this.#reject(this.#failure);
    breakOff(this.#stream, "cancel");
  }

  /** A reader that leaves early resets the stream. */
  async *#read(ctx: Context, peer: Http2Peer): AsyncGenerator<Uint8Array> {
    const stream = this.#stream;
    let finished = false;
    try {
      yield* readBody(stream, this.#request.lasting, () => {});
      if (!isWhole(stream)) throw new Error("the answer was broken off");
      finished = true;
    } catch (error) {
      const cause = error instanceof ServiceError ? (error.cause ?? error) : error;
      throw this.#failure ?? ctx.err ?? broke(peer, stream, cause);
    } finally {
      if (!finished) breakOff(stream, "cancel");
      // The upstream has answered, and wants no more of the request.
      else if (stream.closed) stopSending(stream);
    }
  }
}

/** What a stream that the upstream has ended means. That it calls this a cancellation does not make it the client's. */
function broke(peer: Http2Peer, stream: ClientHttp2Stream, error: unknown): ServiceError {
  const failure = peer.failure(stream, error);
  return failure.code === "canceled" ? new ServiceError("unavailable", failure.message, { cause: error }) : failure;
}

function flat(headers: IncomingHttpHeaders): string[] {
  const raw: string[] = [];
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (name.startsWith(":") || value === undefined) continue;
    if (Array.isArray(value)) for (const one of value) raw.push(name, one);
    else raw.push(name, value);
  }
  return raw;
}
