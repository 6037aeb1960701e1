import type { Http2ServerResponse } from "node:http2";
import { drained } from "../../../codec/drained.ts";
import { UNWATCHED_MS, type Watchable } from "../../../context/watch-list.ts";
import { reportError } from "../../../endpoint/report.ts";
import type { Code } from "../../../errors/code.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { readBody } from "../body-reader.ts";
import type { Request, Response } from "../http-message.ts";
import { cutResponse } from "../server-call.ts";
import { type OnSocket, unwatchClose, watchClose } from "../socket-calls.ts";
import { flush, sendError, sendInterim, statusOf, writeHead, writeSwitch, writeTrailers } from "./answer.ts";
import { AnswerEnd, AnswerHead, type AnswerPart, HeldAnswer, Switched } from "./exchange.ts";
import { IdleWatch } from "./idle-watch.ts";
import { KeptBody } from "./kept-body.ts";
import { type Admitted, ProxiedRequest } from "./proxied-request.ts";
import type { ProxyState } from "./state.ts";
import { tunnel } from "./tunnel.ts";
import { whenOver } from "./when-over.ts";

/** Early hints go out at the upstream's pace, however slowly the client reads: further ones are left out. */
const MAX_HINTS = 16;

/** One request on its way through, and its answer on the way back. */
export class ProxyCall extends ProxiedRequest implements Watchable, OnSocket {
  newer: Watchable | undefined = undefined;
  older: Watchable | undefined = undefined;
  generation: Watchable["generation"] = undefined;
  #stopWatching: (() => void) | undefined;
  readonly #idle: IdleWatch;
  /** Undefined until an upstream is there to take it. */
  #body: KeptBody | undefined;
  /** The client waits to be told before it sends the body. */
  #awaited: boolean;
  /** Early hints that were passed on. */
  #hints = 0;
  /** The head of the answer is on its way. */
  #begun = false;
  #trailing = false;
  /** The answer is out, to its end. */
  #complete = false;
  /** The connection is a tunnel now. */
  #switched = false;
  #over = false;

  constructor(state: ProxyState, admitted: Admitted, req: Request, res: Response) {
    super(state, admitted, req, res);
    this.#awaited = admitted.expects;
    this.#idle = new IdleWatch(state.root.clock, state.settings.idleTimeoutMs, () => this.#quiet());
    // An error nobody hears would end the process; what it means is told by the close.
    req.on("error", ignore);
    res.on("error", ignore);
    watchClose(req, res, this);
    if (admitted.upgrading !== undefined) {
      // Node has let go of the connection: it does not end it when the client does. Once it is carried, the tunnel does.
      req.socket.on("end", () => {
        if (!this.#complete) req.socket.destroy();
      });
    }
  }

  start(): void {
    const { method, timeoutMs } = this.admitted;
    const patience = Math.min(timeoutMs, this.state.settings.idleTimeoutMs);
    if (patience > 2 * UNWATCHED_MS) this.state.young.add(this);
    else this.watch();
    const failed = (error: unknown): void => this.#fail(error);
    try {
      const refused = method.refuses?.(this.scope);
      if (refused !== undefined) return this.#fail(refused);
      const pending = method.endpoint(this.scope, this);
      pending.then((parts) => this.#relay(parts as AsyncIterable<AnswerPart>)).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** From here on time counts: that of the deadline, and that in which nothing moves. */
  watch(): void {
    if (this.#over) return this.#idle.start();
    this.#stopWatching = whenOver(
      this.scope,
      this.lasting,
      () => this.#begun,
      (why) => this.#giveUp(why),
    );
    this.#idle.start();
  }

  #quiet(): void {
    if (this.#over) return this.#breakOff("deadline_exceeded");
    const { idleTimeoutMs } = this.state.settings;
    this.#giveUp(new ServiceError("deadline_exceeded", `nothing has moved for ${idleTimeoutMs} ms`));
  }

  #giveUp(error: ServiceError): void {
    // The attempt is told first, so that whoever counts failures of instances hears of it.
    this.stop?.(error);
    this.#fail(error);
  }

  #moved(sent: number, received: number): void {
    this.requestBytes += sent;
    this.responseBytes += received;
    this.#idle.moved();
  }

  get committed(): boolean {
    return this.#body?.committed === true;
  }

  get sent(): boolean {
    return this.#body?.sent === true;
  }

  body(): AsyncIterable<Uint8Array> {
    // An upstream is there to take it.
    if (this.#awaited && !this.#over) {
      this.#awaited = false;
      this.res.writeContinue();
    }
    this.#body ??= new KeptBody(
      readBody(this.req, this.lasting, (count) => this.#moved(count, 0)),
      this.state.kept,
    );
    return this.#body.read();
  }

  interim(status: number, raw: readonly string[]): void {
    if (this.#over || this.#hints >= MAX_HINTS) return;
    if (sendInterim(this.req, this.res, status, raw)) this.#hints++;
  }

  async #relay(parts: AsyncIterable<AnswerPart>): Promise<void> {
    for await (const part of parts) {
      if (this.#over) return;
      if (part instanceof Uint8Array) {
        this.#moved(0, part.byteLength);
        if (this.res.write(part)) continue;
        await drained(this.res);
        this.#idle.moved();
      } else if (part instanceof AnswerHead) this.#begin(part);
      else if (part instanceof Switched) {
        this.#complete = this.#switched = true;
        const moved = (sent: number, received: number): void => this.#moved(sent, received);
        tunnel(this.req.socket, part.socket, this.admitted.upgrading!, this.state.root.clock, moved);
      } else this.#finish(part.trailers);
    }
    // A tunnel is over when the client has had all of it, and its connection is closed.
    if (!this.#switched) this.#end();
  }

  #begin({ status, raw, last }: AnswerHead): void {
    this.#body?.commit();
    if (status === 101) {
      this.#begun = true;
      return writeSwitch(this.req, this.res, raw);
    }
    const own = this.headersOut();
    if (this.#unasked()) own.push("connection", "close");
    this.#begun = true;
    this.#trailing = writeHead(this.state, this.req, this.res, status, raw, own);
    // With what comes in the same turn, if anything does.
    if (!last) setImmediate(flush, this.res);
  }

  /** A client that was never told to send its body may send it or not: nobody knows where its next request would begin. */
  #unasked(): boolean {
    return this.#awaited && this.req.httpVersionMajor === 1;
  }

  #finish(trailers: readonly string[]): void {
    const own = this.trailersOut();
    if (this.#trailing && trailers.length + own.length > 0) writeTrailers(this.res, [...trailers, ...own]);
    this.#complete = true;
    this.res.end();
    if (!this.req.readableEnded) this.state.listener.linger(this.req);
  }

  #fail(thrown: unknown): void {
    if (this.#over) return;
    // The answer told of a failure, and that is what the client got.
    if (this.#complete && !this.#switched) return this.#end(ServiceError.from(thrown));
    const error = this.#outcome(thrown);
    if (this.#begun) return this.cut(error);
    if (error.cause instanceof HeldAnswer) return this.#pass(error, error.cause);
    const status = statusOf(error);
    if (status === 500) reportError(this.scope, error, this.admitted.method.info);
    const extra = this.#unasked() ? ["connection", "close"] : [];
    this.responseBytes = sendError(this.state, this.req, this.res, this.admitted.head, error, status, extra);
    this.#end(error);
  }

  /** What the call ended with. Once the context is done that counts, not how the exchange put it. */
  #outcome(thrown: unknown): ServiceError {
    const error = ServiceError.from(thrown);
    const { err, cause } = this.scope;
    if (err === undefined || (error !== err && error.code !== "canceled")) return error;
    return cause instanceof ServiceError ? cause : err;
  }

  /** Passes on what an upstream has answered, now that no other is asked. */
  #pass(error: ServiceError, { parts }: HeldAnswer): void {
    for (const part of parts) {
      if (part instanceof Uint8Array) {
        this.responseBytes += part.byteLength;
        this.res.write(part);
      } else if (part instanceof AnswerHead) this.#begin(part);
      else if (part instanceof AnswerEnd) this.#finish(part.trailers);
    }
    this.#end(error);
  }

  /** Breaks off: half an answer must not look like a whole one. */
  cut(error: ServiceError): void {
    if (this.#over) return;
    this.#breakOff(error.code);
    this.#end(error);
  }

  #breakOff(code: Code): void {
    const { socket, httpVersionMajor } = this.req;
    if (httpVersionMajor > 1) cutResponse(this.req, this.res, code === "deadline_exceeded" ? "cancel" : "internal");
    else if ("encrypted" in socket) socket.destroy();
    // Where the end of the connection is the end of the answer, only a reset tells.
    else socket.resetAndDestroy();
  }

  closed(): void {
    if (this.#over) return this.#letGo();
    // A connection that has changed its protocol ends when either side will.
    if (this.#switched) return this.#end();
    const error = new ServiceError("canceled", "the client went away");
    this.lasting.cancel(error);
    this.#end(error);
  }

  #end(error?: ServiceError): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopWatching?.();
    this.#body?.close();
    // What the client has still to take must not stand still either.
    if (this.#complete && this.#isUnsent) this.res.once("finish", () => this.#letGo());
    else this.#letGo();
    this.settle(this.#begun, error);
  }

  get #isUnsent(): boolean {
    const { req, res } = this;
    const to = req.httpVersionMajor > 1 ? (res as unknown as Http2ServerResponse).stream : req.socket;
    return !to.destroyed && to.writableLength > 0;
  }

  #letGo(): void {
    unwatchClose(this.req, this);
    this.state.young.remove(this);
    this.#idle.stop();
  }
}

function ignore(): void {}
