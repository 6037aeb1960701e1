import type { Http2ServerResponse } from "node:http2";
import { ONCE } from "../../codec/header-record.ts";
import { breakOff } from "../../codec/reset-stream.ts";
import type { CancelContext, Context } from "../../context/context.ts";
import { requestContext } from "../../context/request-context.ts";
import { UNWATCHED_MS, type Watchable, type WatchList } from "../../context/watch-list.ts";
import { afterFunc } from "../../context/with.ts";
import type { FinishedCall } from "../../endpoint/finished-call.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { MethodObserver } from "../../endpoint/observer.ts";
import { reportError } from "../../endpoint/report.ts";
import type { Code } from "../../errors/code.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { type ServerCall, serverCallKey } from "../../metadata/call.ts";
import { isOfBody } from "../../metadata/framing.ts";
import { Metadata, type MetadataRecord, newRecord } from "../../metadata/metadata.ts";
import type { Observation } from "../../metadata/observation.ts";
import type { Cors } from "./cors.ts";
import { addLastWords } from "./going.ts";
import type { Request, Response } from "./http-message.ts";
import { linger } from "./linger.ts";
import type { HttpServerSettings } from "./options.ts";
import type { RequestHead } from "./request-head.ts";
import { type OnSocket, unwatchClose, watchClose } from "./socket-calls.ts";

/** What the calls of one listener share. */
export interface ServerState {
  readonly settings: HttpServerSettings;
  /** Parent of every call's context. */
  readonly root: Context;
  inFlight: number;
  /** By method, when calls are observed; undefined as the key for requests that match none. */
  readonly observers: ReadonlyMap<MethodInfo | undefined, MethodObserver>;
  /** Calls too young to be watched. */
  readonly young: WatchList;
  /** Answers tell HTTP/1.1 clients to come back on another connection. */
  discouraging: boolean;
  readonly cors: Cors | undefined;
  /** Called when the last call in flight has ended. */
  onIdle: (() => void) | undefined;
}

/**
 * One call on its way through the server: its context, its bookkeeping, its one answer. What differs between unary
 * Connect, REST and streams is in the subclasses.
 */
export abstract class HttpServerCall implements ServerCall, Watchable, OnSocket {
  /** On the prototype: it must be there before the constructors of subclasses have run. */
  abstract get protocol(): string;
  readonly state: ServerState;
  readonly info: MethodInfo;
  readonly req: Request;
  readonly res: Response;
  readonly head: RequestHead;
  ctx: Context;
  answered = false;
  requestBytes = 0;
  responseBytes = 0;
  newer: Watchable | undefined = undefined;
  older: Watchable | undefined = undefined;
  generation: Watchable["generation"] = undefined;
  readonly observation: Observation | undefined;
  private readonly scope: CancelContext;
  private readonly startedMs: number;
  /** Ended, whether answered or abandoned. */
  protected over = false;
  private stopWatching: (() => boolean) | undefined = undefined;
  private requestHeaders: Metadata | undefined = undefined;
  private headersOut: MetadataRecord | undefined = undefined;
  private headersOutView: Metadata | undefined = undefined;
  private trailersOut: MetadataRecord | undefined = undefined;
  private trailersOutView: Metadata | undefined = undefined;

  constructor(state: ServerState, info: MethodInfo, req: Request, res: Response, head: RequestHead, timeoutMs: number) {
    this.state = state;
    this.info = info;
    this.req = req;
    this.res = res;
    this.head = head;
    this.scope = requestContext(state.root, timeoutMs, serverCallKey, this);
    this.ctx = this.scope;
    const observer = state.observers.get(info);
    this.startedMs = observer === undefined && state.settings.hooks.finalize === undefined ? 0 : state.root.clock.now();
    this.observation = observer?.begin(this, state.root, this.startedMs);
    state.inFlight++;
    watchClose(req, res, this);
  }

  get headers(): Metadata {
    return (this.requestHeaders ??= new Metadata(this.req.headers));
  }

  get traceparent(): string | undefined {
    return this.head.traceparent;
  }

  get tracestate(): string | undefined {
    return this.head.tracestate;
  }

  get deadline(): number | undefined {
    return this.scope.deadline;
  }

  get responseHeaders(): Metadata {
    return (this.headersOutView ??= new Metadata((this.headersOut ??= newRecord())));
  }

  get responseTrailers(): Metadata {
    return (this.trailersOutView ??= new Metadata((this.trailersOut ??= newRecord())));
  }

  get peer(): string {
    return peerOf(this.req);
  }

  /** Answers with an error, in the form of the protocol. Called at most once, and never after an answer. */
  protected abstract sendError(error: ServiceError): void;

  /** Runs the hook that may replace the context; false when it failed and the call is over. */
  protected before(): boolean {
    const { before } = this.state.settings.hooks;
    if (before === undefined) return true;
    try {
      this.ctx = before(this.ctx, this);
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  /** From here on the end of the context ends the call, whatever the handler does: exact for all that last a while. */
  protected watchSoon(timeoutMs: number): void {
    if (timeoutMs > 2 * UNWATCHED_MS) this.state.young.add(this);
    else this.watch();
  }

  watch(): void {
    this.stopWatching = afterFunc(this.scope, () => {
      const { err } = this.scope;
      if (!this.answered && err !== undefined) this.fail(err);
    });
  }

  /** Ends the call with whatever was thrown. Later outcomes are ignored. */
  fail(thrown: unknown): void {
    if (this.answered || this.over) return;
    const error = this.outcome(thrown);
    if (error.code === "internal" || error.code === "unknown" || error.code === "data_loss") {
      reportError(this.ctx, error, this.info);
    }
    this.answered = true;
    try {
      this.sendError(error);
    } catch (failure) {
      // The answer could not be written: nothing is left but to cut the connection, so that the client notices.
      reportError(this.ctx, ServiceError.from(failure), this.info);
      this.res.destroy();
    }
    this.end(error.code, error);
  }

  /** What the call ended with. Once the context is done that counts, not how the handler put it. */
  private outcome(thrown: unknown): ServiceError {
    const error = ServiceError.from(thrown);
    const { err, cause } = this.scope;
    if (err === undefined || (error !== err && error.code !== "canceled")) return error;
    // A listener that closes says why.
    return cause instanceof ServiceError ? cause : err;
  }

  /** Headers of the answer that handler and middlewares added, as a flat list of names and values. */
  protected addMetadata(headers: string[]): void {
    if (this.headersOut !== undefined) flatten(this.headersOut, "", headers);
    if (this.trailersOut !== undefined) flatten(this.trailersOut, "trailer-", headers);
    addLastWords(headers, this.state, this.req);
  }

  /** What goes with the headers of a stream: all but the trailers, which are not known yet. */
  protected addHeaders(headers: string[]): void {
    if (this.headersOut !== undefined) flatten(this.headersOut, "", headers);
    addLastWords(headers, this.state, this.req);
    this.state.cors?.mark(headers, this.head.origin);
  }

  protected trailers(): MetadataRecord | undefined {
    return this.trailersOut;
  }

  /** Sends a whole answer. */
  protected send(status: number, headers: string[], body: string | Buffer | undefined): void {
    const { res } = this;
    this.state.cors?.mark(headers, this.head.origin);
    res.writeHead(status, headers);
    if (body === undefined) res.end();
    else res.end(body);
    if (!this.req.complete) linger(this.req, this.state.root.clock);
  }

  /** Everything the caller was owed has been handed over: lets go of the context and counts the call as done. */
  protected end(code: "ok" | Code, error: ServiceError | undefined): void {
    if (this.over) return;
    this.over = true;
    unwatchClose(this.req, this);
    const { state } = this;
    state.young.remove(this);
    this.stopWatching?.();
    this.scope.cancel();
    state.inFlight--;
    if (this.observation !== undefined || state.settings.hooks.finalize !== undefined) this.told(code, error);
    if (state.inFlight === 0) state.onIdle?.();
  }

  /** Tells of the end. */
  private told(code: "ok" | Code, error: ServiceError | undefined): void {
    const { state } = this;
    const call: FinishedCall = {
      method: this.info,
      protocol: this.protocol,
      code,
      status: this.res.headersSent ? this.res.statusCode : 0,
      requestBytes: this.requestBytes,
      responseBytes: this.responseBytes,
      durationMs: state.root.clock.now() - this.startedMs,
      error,
    };
    this.observation?.end(call);
    const { finalize } = state.settings.hooks;
    if (finalize === undefined) return;
    try {
      finalize(this.ctx, call);
    } catch (failure) {
      reportError(this.ctx, ServiceError.from(failure), this.info);
    }
  }

  cut(error: ServiceError): void {
    if (this.over) return;
    this.answered = true;
    cutResponse(this.req, this.res);
    this.end(error.code, error);
  }

  closed(): void {
    if (this.over) return;
    // Before the answer was complete: the client has gone, or the connection broke.
    this.answered = true;
    const error = new ServiceError("canceled", "the client went away");
    this.scope.cancel(error);
    this.end("canceled", error);
  }
}

/**
 * Adds the names and values of a record, each name with the prefix, in turn, but for what says how the answer is to be read. What may stand only once does: several
 * values become one, and what is there already stays, for node:http2 would refuse the whole answer.
 */
export function flatten(record: MetadataRecord, prefix: string, into: string[]): void {
  for (const name of Object.keys(record)) {
    const value = record[name];
    if (value === undefined || (prefix === "" && isOfBody(name))) continue;
    if (prefix === "" && ONCE.has(name)) {
      if (!into.some((present, i) => i % 2 === 0 && present === name)) into.push(name, [value].flat().join(", "));
    } else if (typeof value === "string") into.push(prefix + name, value);
    else for (const item of value) into.push(prefix + name, item);
  }
}

/** Who calls, `host:port`; the host alone where the port is not known. */
export function peerOf({ socket: { remoteAddress, remotePort } }: Request): string {
  const host = remoteAddress?.includes(":") ? `[${remoteAddress}]` : String(remoteAddress);
  return remotePort === undefined ? host : `${host}:${remotePort}`;
}

/** Breaks off an answer, and with HTTP/1.1 the connection. */
export function cutResponse(req: Request, res: Response, code: "cancel" | "internal" = "internal"): void {
  if (req.httpVersionMajor < 2) res.destroy();
  else breakOff((res as unknown as Http2ServerResponse).stream, code);
}
