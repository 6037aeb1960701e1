import { constants, type Http2ServerResponse } from "node:http2";
import type { Timer } from "../../../clock/clock.ts";
import type { CancelContext, Context } from "../../../context/context.ts";
import { requestContext } from "../../../context/request-context.ts";
import { UNWATCHED_MS, type Watchable } from "../../../context/watch-list.ts";
import { afterFunc } from "../../../context/with.ts";
import { reportError } from "../../../endpoint/report.ts";
import type { BoundMethod } from "../../../endpoint/service.ts";
import { type Code, codeFromHttp } from "../../../errors/code.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { type ServerCall, serverCallKey } from "../../../metadata/call.ts";
import { Metadata } from "../../../metadata/metadata.ts";
import type { Observation } from "../../../metadata/observation.ts";
import { readBody } from "../body-reader.ts";
import type { Request, Response } from "../http-message.ts";
import type { RequestHead } from "../request-head.ts";
import { type OnSocket, unwatchClose, watchClose } from "../socket-calls.ts";
import { sendError, sendInterim, statusOf, writeHead, writeTrailers } from "./answer.ts";
import { AnswerHead, type AnswerPart, type ForwardedRequest, HeldAnswer } from "./exchange.ts";
import { attemptFields, type RequestFields } from "./request-headers.ts";
import type { ProxyState } from "./state.ts";

/** What is known of a request that is to be passed on. */
export interface Admitted {
  readonly method: BoundMethod;
  readonly head: RequestHead;
  readonly target: string;
  readonly authority: string | undefined;
  readonly hasBody: boolean;
  /** Whether the client waits to be told before it sends the body. */
  readonly expects: boolean;
  readonly fields: RequestFields;
  readonly timeoutMs: number;
}

/** One request on its way through, and its answer on the way back. */
export class ProxyCall implements ServerCall, ForwardedRequest, Watchable, OnSocket {
  readonly protocol = "proxy";
  readonly tried = new Map<object, ServiceError>();
  readonly responseHeaders = new Metadata();
  readonly responseTrailers = new Metadata();
  readonly observation: Observation | undefined;
  committed = false;
  stop: ((error: ServiceError) => void) | undefined = undefined;
  newer: Watchable | undefined = undefined;
  older: Watchable | undefined = undefined;
  generation: Watchable["generation"] = undefined;
  readonly #state: ProxyState;
  readonly #admitted: Admitted;
  readonly #req: Request;
  readonly #res: Response;
  readonly #scope: CancelContext;
  readonly #startedMs: number;
  /** When something last moved, either way. */
  #movedMs: number;
  #requestBytes = 0;
  #responseBytes = 0;
  #stopWatching: (() => boolean) | undefined;
  #idle: Timer | undefined;
  /** The client waits to be told before it sends the body. */
  #awaited: boolean;
  /** The head of the answer is on its way. */
  #begun = false;
  #trailing = false;
  /** The answer is out, to its end. */
  #complete = false;
  #over = false;

  constructor(state: ProxyState, admitted: Admitted, req: Request, res: Response) {
    this.#state = state;
    this.#admitted = admitted;
    this.#req = req;
    this.#res = res;
    this.#awaited = admitted.expects;
    this.#scope = requestContext<ServerCall | undefined>(state.root, admitted.timeoutMs, serverCallKey, this);
    this.#startedMs = this.#movedMs = state.root.clock.now();
    this.observation = state.observers.get(admitted.method.info)?.begin(this, state.root, this.#startedMs);
    state.inFlight++;
    // An error nobody hears would end the process; what it means is told by the close.
    req.on("error", ignore);
    res.on("error", ignore);
    watchClose(req, res, this);
  }

  get verb(): string {
    return this.#req.method!;
  }

  get target(): string {
    return this.#admitted.target;
  }

  get authority(): string | undefined {
    return this.#admitted.authority;
  }

  get hasBody(): boolean {
    return this.#admitted.hasBody;
  }

  get headers(): Metadata {
    return new Metadata(this.#req.headers);
  }

  get traceparent(): string | undefined {
    return this.#admitted.head.traceparent;
  }

  get tracestate(): string | undefined {
    return this.#admitted.head.tracestate;
  }

  get deadline(): number | undefined {
    return this.#scope.deadline;
  }

  get peer(): string {
    const { remoteAddress, remotePort } = this.#req.socket;
    return remoteAddress?.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
  }

  start(): void {
    const { method, timeoutMs } = this.#admitted;
    const patience = Math.min(timeoutMs, this.#state.settings.idleTimeoutMs);
    if (patience > 2 * UNWATCHED_MS) this.#state.young.add(this);
    else this.watch();
    const failed = (error: unknown): void => this.#fail(error);
    try {
      const refused = method.refuses?.(this.#scope);
      if (refused !== undefined) return this.#fail(refused);
      const pending = method.endpoint(this.#scope, this);
      pending.then((parts) => this.#relay(parts as AsyncIterable<AnswerPart>)).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** From here on time counts: that of the deadline, and that in which nothing moves. */
  watch(): void {
    this.#stopWatching = afterFunc(this.#scope, () => {
      const { err } = this.#scope;
      if (err !== undefined) this.#fail(err);
    });
    this.#minding(this.#state.settings.idleTimeoutMs);
  }

  #minding(ms: number): void {
    const { clock } = this.#state.root;
    this.#idle = clock.schedule(ms, () => {
      const { idleTimeoutMs } = this.#state.settings;
      const quietMs = clock.now() - this.#movedMs;
      if (quietMs < idleTimeoutMs) return this.#minding(idleTimeoutMs - quietMs);
      const error = new ServiceError("deadline_exceeded", `nothing has moved for ${idleTimeoutMs} ms`);
      // The attempt is told first, so that whoever counts failures of instances hears of it.
      this.stop?.(error);
      this.#fail(error);
    });
    this.#idle.unref();
  }

  #moved(bytes: number): void {
    this.#requestBytes += bytes;
    this.#movedMs = this.#state.root.clock.now();
  }

  fields(ctx: Context): string[] {
    return attemptFields(this.#admitted.fields, ctx);
  }

  async *body(): AsyncGenerator<Uint8Array> {
    this.committed = true;
    // An upstream is there to take it.
    if (this.#awaited && !this.#over) {
      this.#awaited = false;
      this.#res.writeContinue();
    }
    yield* readBody(this.#req, this.#scope, (count) => this.#moved(count));
  }

  interim(status: number, raw: readonly string[]): void {
    if (!this.#over) sendInterim(this.#res, status, raw);
  }

  async #relay(parts: AsyncIterable<AnswerPart>): Promise<void> {
    for await (const part of parts) {
      if (this.#over) return;
      if (part instanceof Uint8Array) {
        this.#responseBytes += part.byteLength;
        this.#movedMs = this.#state.root.clock.now();
        if (!this.#res.write(part)) await drained(this.#res);
        this.#movedMs = this.#state.root.clock.now();
      } else if (part instanceof AnswerHead) this.#begin(part);
      else this.#finish(part.trailers);
    }
    this.#end();
  }

  #begin({ status, raw, last }: AnswerHead): void {
    const own = [...this.responseHeaders.entries()].flat();
    if (this.#unasked()) own.push("connection", "close");
    this.#begun = true;
    this.#trailing = writeHead(this.#state, this.#req, this.#res, status, raw, own);
    // With what comes in the same turn, if anything does.
    if (!last) setImmediate(flush, this.#res);
  }

  /** A client that was never told to send its body may send it or not: nobody knows where its next request would begin. */
  #unasked(): boolean {
    return this.#awaited && this.#req.httpVersionMajor === 1;
  }

  #finish(trailers: readonly string[]): void {
    const own = [...this.responseTrailers.entries()].flat();
    if (this.#trailing && trailers.length + own.length > 0) writeTrailers(this.#res, [...trailers, ...own]);
    this.#complete = true;
    this.#res.end();
    if (!this.#req.complete) this.#state.listener.linger(this.#req);
  }

  #fail(thrown: unknown): void {
    if (this.#over) return;
    // The answer told of a failure, and that is what the client got.
    if (this.#complete) return this.#end(ServiceError.from(thrown));
    const error = this.#outcome(thrown);
    if (this.#begun) return this.cut(error);
    if (error.cause instanceof HeldAnswer) return this.#pass(error, error.cause);
    const status = statusOf(error);
    if (status === 500) reportError(this.#scope, error, this.#admitted.method.info);
    const extra = this.#unasked() ? ["connection", "close"] : [];
    this.#responseBytes = sendError(this.#state, this.#req, this.#res, this.#admitted.head, error, status, extra);
    this.#end(error);
  }

  /** What the call ended with. Once the context is done that counts, not how the exchange put it. */
  #outcome(thrown: unknown): ServiceError {
    const error = ServiceError.from(thrown);
    const { err, cause } = this.#scope;
    if (err === undefined || (error !== err && error.code !== "canceled")) return error;
    return cause instanceof ServiceError ? cause : err;
  }

  /** Passes on what an upstream has answered, now that no other is asked. */
  #pass(error: ServiceError, { parts }: HeldAnswer): void {
    for (const part of parts) {
      if (part instanceof Uint8Array) {
        this.#responseBytes += part.byteLength;
        this.#res.write(part);
      } else if (part instanceof AnswerHead) this.#begin(part);
      else this.#finish(part.trailers);
    }
    this.#end(error);
  }

  /** Breaks off: half an answer must not look like a whole one. */
  cut(error: ServiceError): void {
    if (this.#over) return;
    const { socket, httpVersionMajor } = this.#req;
    if (httpVersionMajor > 1)
      (this.#res as unknown as Http2ServerResponse).stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    else if ("encrypted" in socket) socket.destroy();
    // Where the end of the connection is the end of the answer, only a reset tells.
    else socket.resetAndDestroy();
    this.#end(error);
  }

  closed(): void {
    if (this.#over) return;
    const error = new ServiceError("canceled", "the client went away");
    this.#scope.cancel(error);
    this.#end(error);
  }

  #end(error?: ServiceError): void {
    if (this.#over) return;
    this.#over = true;
    unwatchClose(this.#req, this);
    const state = this.#state;
    state.young.remove(this);
    this.#stopWatching?.();
    this.#idle?.cancel();
    this.#scope.cancel();
    state.inFlight--;
    const { headersSent, statusCode } = this.#res;
    const status = headersSent ? statusCode : 0;
    this.observation?.end({
      method: this.#admitted.method.info,
      protocol: this.protocol,
      code: error?.code ?? codeOf(status),
      status,
      requestBytes: this.#requestBytes,
      responseBytes: this.#responseBytes,
      durationMs: state.root.clock.now() - this.#startedMs,
      error,
    });
    if (state.inFlight === 0) state.onIdle?.();
  }
}

/** What an answer that was passed on means. */
function codeOf(status: number): "ok" | Code {
  return status < 400 ? "ok" : codeFromHttp(status);
}

function ignore(): void {}

function flush(res: Response): void {
  if (!res.writableEnded) res.flushHeaders();
}

/** Resolves when more can be written, or nothing can ever. */
function drained(res: Response): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      res.off("drain", go);
      res.off("close", go);
      resolve();
    };
    res.on("drain", go);
    res.on("close", go);
  });
}
