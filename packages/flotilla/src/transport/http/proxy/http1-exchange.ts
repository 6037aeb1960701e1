import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import type { Dispatcher, Pool } from "undici";
import type { Context } from "../../../context/context.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import type { MetadataRecord } from "../../../metadata/metadata.ts";
import { ChunkQueue } from "../chunk-queue.ts";
import { connectionError } from "../client-errors.ts";
import type { Http1Peer } from "../client-unary.ts";
import { isGoing } from "../going.ts";
import { AnswerHead, type ForwardedRequest, type OpenAnswer, type OpenExchange } from "./exchange.ts";
import { whenOver } from "./when-over.ts";

/** Exchanges over HTTP/1.1. */
export function http1Exchange(
  pool: Pool,
  peer: Http1Upstream,
  maxWaiting: number,
  servername: string | undefined,
): OpenExchange {
  const { address } = peer;
  const { protocol, hostname } = new URL(address);
  // Else each name that clients give would be another server to undici, and a connection of its own.
  const sni = protocol === "https:" ? (servername ?? (isIP(hostname) === 0 ? hostname : undefined)) : undefined;
  const own = protocol === "https:" && sni === undefined;
  return (ctx, request) =>
    new Promise((resolve, reject) => {
      if (request.contentType !== undefined && GRPC.test(request.contentType)) throw needsHttp2("gRPC is carried");
      // undici holds a request until its turn has come, though nobody waits for it any more.
      if (peer.waiting >= maxWaiting) {
        const message = `${address} has ${maxWaiting} requests waiting for a connection`;
        throw new ServiceError("unavailable", message, { retry: { unprocessed: true } });
      }
      const headers = request.fields(ctx);
      if (request.authority !== undefined && !own) headers.push("host", request.authority);
      const exchange = new Http1Exchange(ctx, request, peer, resolve, reject);
      const options = {
        method: request.verb,
        path: request.target,
        headers,
        body: request.hasBody ? (exchange.guard() as never) : null,
        ...(request.upgrade !== undefined && { upgrade: request.upgrade }),
        ...(sni !== undefined && { servername: sni }),
      };
      peer.waiting++;
      pool.dispatch(options, exchange);
    });
}

/** Not gRPC-Web, which HTTP/1.1 can carry. */
const GRPC = /^application\/grpc(?:$|[+;])/;

function needsHttp2(what: string): ServiceError {
  return new ServiceError("unimplemented", `${what} over HTTP/2 only: proxyClient({ http2: true }) speaks it upstream`);
}

/** The other side. */
export interface Http1Upstream extends Http1Peer {
  /** Requests that were handed to undici and not begun. */
  waiting: number;
}

class Http1Exchange implements Dispatcher.DispatchHandler, OpenAnswer {
  head!: AnswerHead;
  readonly body: ChunkQueue;
  socket: Duplex | undefined;
  readonly #ctx: Context;
  readonly #request: ForwardedRequest;
  readonly #peer: Http1Upstream;
  readonly #resolve: (answer: OpenAnswer) => void;
  readonly #reject: (error: unknown) => void;
  readonly #stop: () => void;
  #controller: Dispatcher.DispatchController | undefined;
  #trailers: readonly string[] = [];
  /** Why the request body could not go on: more telling than the broken connection it causes. */
  #bodyError: unknown;

  constructor(
    ctx: Context,
    request: ForwardedRequest,
    peer: Http1Upstream,
    resolve: (answer: OpenAnswer) => void,
    reject: (error: unknown) => void,
  ) {
    this.#ctx = ctx;
    this.#request = request;
    this.#peer = peer;
    this.#resolve = resolve;
    this.#reject = reject;
    this.body = new ChunkQueue({
      pause: () => this.#controller?.pause(),
      resume: () => this.#controller?.resume(),
      cancel: () => this.#abandon(new ServiceError("canceled", "the answer was not read to its end")),
    });
    this.#stop = whenOver(
      ctx,
      request.lasting,
      () => this.head !== undefined,
      (why) => this.#abandon(why),
    );
    request.stop = (error) => this.#abandon(error);
  }

  async *guard(): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#request.body();
    } catch (error) {
      this.#bodyError = error;
      throw error;
    }
  }

  trailers(): readonly string[] {
    return this.#trailers;
  }

  #abandon(error: ServiceError): void {
    this.#fail(error);
    this.socket?.destroy();
    this.#controller?.abort(error);
  }

  #fail(error: unknown): void {
    this.#stop();
    this.#request.stop = undefined;
    this.#reject(error);
    this.body.fail(error);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#controller === undefined) this.#peer.waiting--;
    this.#controller = controller;
    if (this.#ctx.err !== undefined) controller.abort(this.#ctx.err);
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: MetadataRecord): void {
    this.#peer.going = isGoing(headers);
    const raw = texts(controller.rawHeaders);
    if (status < 200) return this.#request.interim(status, raw);
    // It is not the client that chose the version (RFC 9110, section 15.6.6): a stream in both directions, as a rule.
    if (status === 505) return this.#abandon(needsHttp2("the upstream takes this request"));
    const { verb } = this.#request;
    this.head = new AnswerHead(status, raw, verb === "HEAD" || status === 204 || status === 304);
    this.#resolve(this);
  }

  onRequestUpgrade(controller: Dispatcher.DispatchController, status: number, _headers: unknown, socket: Duplex): void {
    // From here on nobody else minds what goes wrong with it, or that nobody takes it: then it ends with the request.
    socket.on("error", () => {});
    socket.on("close", this.#stop);
    this.head = new AnswerHead(status, texts(controller.rawHeaders), true);
    this.socket = socket;
    this.#resolve(this);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.body.push(chunk);
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    this.#stop();
    this.#request.stop = undefined;
    this.#trailers = texts(controller.rawTrailers);
    this.body.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#controller === undefined) this.#peer.waiting--;
    if (this.#bodyError !== undefined) return this.#fail(this.#bodyError);
    if ((error as NodeJS.ErrnoException).code === "UND_ERR_INVALID_ARG") {
      return this.#fail(new ServiceError("invalid_argument", `the request cannot be sent on: ${error.message}`));
    }
    this.#fail(this.#ctx.err ?? connectionError(this.#peer.address, error, this.#controller === undefined));
  }
}

/** The fields of a message as undici has them. */
function texts(raw: Buffer[] | string[] | Record<string, string | string[] | undefined> | null | undefined): string[] {
  return Array.isArray(raw) ? raw.map((one) => (typeof one === "string" ? one : one.toString("latin1"))) : [];
}
