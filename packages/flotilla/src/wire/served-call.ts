import { toConnectError } from "../codec/connect-error.ts";
import { parseConnectTimeout } from "../codec/timeout.ts";
import type { CancelContext, Context } from "../context/context.ts";
import { requestContext } from "../context/request-context.ts";
import { afterFunc } from "../context/with.ts";
import { sentMetadata } from "../endpoint/error-metadata.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import type { MethodObserver } from "../endpoint/observer.ts";
import { Outgoing } from "../endpoint/outgoing.ts";
import { reportError } from "../endpoint/report.ts";
import type { BoundMethod } from "../endpoint/service.ts";
import { ServiceError } from "../errors/service-error.ts";
import { type ServerCall, serverCallKey } from "../metadata/call.ts";
import { copyRecord, Metadata, type MetadataRecord, newRecord } from "../metadata/metadata.ts";
import type { Observation } from "../metadata/observation.ts";
import { type ParsedMessage, readMessage, type Wire, writeMessage } from "./message.ts";
import type { WireSettings } from "./options.ts";
import { Pipe } from "./pipe.ts";

/** What the calls of one listener share. */
export interface ServerState {
  readonly settings: WireSettings;
  /** Parent of every call's context. */
  readonly root: Context;
  /** By method; undefined when calls are not observed. */
  readonly observers: ReadonlyMap<MethodInfo | undefined, MethodObserver> | undefined;
  inFlight: number;
  /** Called when the last call in flight has ended. */
  onIdle: (() => void) | undefined;
}

/** The client's side of a call, as the server sees it. */
export interface Caller {
  /** Told once, before the first message or the end. */
  head(headers: MetadataRecord): void;
  /** Whether more may be sent; see `Pipe.write`. */
  message(wire: Wire): boolean | Promise<boolean>;
  /** @param error - as the Connect protocol writes it, JSON text; undefined for a success. */
  end(error: string | undefined, trailers: MetadataRecord): void;
  /** The way to the server is gone: the call fails with this, and the server hears of it as far as it can be reached. */
  abandon(error: ServiceError): void;
}

/** A call that was taken in. */
export interface Accepted {
  /** The client has gone: nobody is told how the call ends. */
  abandoned(): void;
}

/** What takes calls in: a listener, or what stands between it and the client. */
export interface Acceptor {
  /**
   * Begins a call, whose handler starts later.
   *
   * @param headers - names in lower case; `content-type` says what the messages are: `application/json` or `application/proto`.
   * @param peer - who calls, as `ServerCall.peer` tells it. Default: the name of the transport.
   * @throws ServiceError when it is refused.
   */
  accept(
    method: MethodInfo,
    headers: MetadataRecord,
    request: Wire | Pipe<Wire>,
    caller: Caller,
    peer?: string,
  ): Accepted;
}

/** One call at the server: a context of its own, the endpoint, the answer. */
export class ServedCall implements ServerCall, Accepted {
  readonly peer: string;
  readonly headers: Metadata;
  readonly observation: Observation | undefined;
  readonly #state: ServerState;
  readonly #method: BoundMethod;
  readonly #caller: Caller;
  readonly #contentType: string;
  readonly #scope: CancelContext;
  #requestBytes = 0;
  #responseBytes = 0;
  #headersOut: MetadataRecord | undefined;
  #trailersOut: MetadataRecord | undefined;
  #stopWatching: (() => boolean) | undefined;
  #requests: Pipe<Wire> | undefined;
  #responses: Outgoing<unknown> | undefined;
  #headSent = false;
  #over = false;
  readonly #startedMs: number;

  constructor(state: ServerState, method: BoundMethod, headers: MetadataRecord, caller: Caller, peer: string) {
    this.peer = peer;
    this.#state = state;
    this.#method = method;
    this.#caller = caller;
    this.headers = new Metadata(headers);
    this.#contentType = headers["content-type"] as string;
    const { info } = method;
    const own = info.timeoutMs ?? (info.kind === "unary" ? state.settings.timeoutMs : Infinity);
    const asked = headers["connect-timeout-ms"];
    const timeoutMs = asked === undefined ? own : Math.min(own, parseConnectTimeout(asked as string));
    this.#scope = requestContext(state.root, timeoutMs, serverCallKey, this);
    this.#startedMs = state.root.clock.now();
    this.observation = state.observers?.get(info)?.begin(this, state.root, this.#startedMs);
    state.inFlight++;
  }

  get protocol(): string {
    return this.#state.settings.protocol;
  }

  get traceparent(): string | undefined {
    return this.headers.get("traceparent");
  }

  get tracestate(): string | undefined {
    return this.headers.get("tracestate");
  }

  get deadline(): number | undefined {
    return this.#scope.deadline;
  }

  get responseHeaders(): Metadata {
    return new Metadata((this.#headersOut ??= newRecord()));
  }

  get responseTrailers(): Metadata {
    return new Metadata((this.#trailersOut ??= newRecord()));
  }

  /** Begins the call: when `turn` has come, its handler runs. Never throws. */
  begin(request: Wire | ParsedMessage | Pipe<Wire>, turn: Promise<void>): void {
    if (request instanceof Pipe) this.#requests = request;
    void turn.then(() => this.#run(request));
  }

  #run(request: Wire | ParsedMessage | Pipe<Wire>): void {
    if (this.#over) return this.#requests?.leave();
    // Out of time on arrival: no work is begun.
    const { err } = this.#scope;
    if (err !== undefined) return this.#fail(err);
    // The end of the context ends the call, whatever the handler does.
    this.#stopWatching = afterFunc(this.#scope, () => this.#fail(this.#scope.err));
    const failed = (error: unknown): void => this.#fail(error);
    try {
      const { endpoint, refuses } = this.#method;
      const refused = refuses?.(this.#scope);
      if (refused !== undefined) return this.#fail(refused);
      const input = request instanceof Pipe ? this.#received(request) : this.#read(request);
      endpoint(this.#scope, input).then((response) => this.#answered(response, failed), failed);
    } catch (error) {
      failed(error);
    }
  }

  #answered(response: unknown, failed: (error: unknown) => void): void {
    const { kind } = this.#method.info;
    if (kind === "server_stream" || kind === "bidi_stream") {
      this.#sendAll(response as AsyncIterable<unknown>).then(() => this.#succeed(), failed);
      return;
    }
    try {
      void this.#send(response);
      this.#succeed();
    } catch (error) {
      // It cannot be written.
      failed(error);
    }
  }

  #succeed(): void {
    if (this.#over) return;
    this.#sendHead();
    this.#end(undefined, this.#trailersOut, undefined);
  }

  async *#received(requests: Pipe<Wire>): AsyncGenerator {
    for await (const wire of requests) yield this.#read(wire);
  }

  #read(wire: Wire | ParsedMessage): unknown {
    const { maxMessageBytes, counts } = this.#state.settings;
    if (counts) this.#requestBytes += typeof wire === "string" ? Buffer.byteLength(wire) : wire.byteLength;
    return readMessage(this.#method.info.input, wire, maxMessageBytes);
  }

  async #sendAll(responses: AsyncIterable<unknown>): Promise<void> {
    this.#responses = new Outgoing(responses);
    for await (const response of this.#responses) if (this.#over || !(await this.#send(response))) return;
  }

  #send(message: unknown): boolean | Promise<boolean> {
    if (this.#over) return false;
    const wire = writeMessage(this.#method.info.output, message, this.#contentType);
    if (this.#state.settings.counts) this.#responseBytes += Buffer.byteLength(wire);
    this.#sendHead();
    return this.#caller.message(wire);
  }

  #sendHead(): void {
    if (this.#headSent) return;
    this.#headSent = true;
    this.#caller.head(sent(this.#headersOut));
  }

  abandoned(): void {
    if (this.#over) return;
    const error = new ServiceError("canceled", "the client went away");
    this.#scope.cancel(error);
    this.#close(error);
  }

  cut(error: ServiceError): void {
    if (this.#over) return;
    this.#close(error);
    this.#caller.abandon(new ServiceError("unavailable", "lost the connection to the server"));
  }

  #fail(thrown: unknown): void {
    if (this.#over) return;
    const error = this.#outcome(thrown);
    if (error.code === "internal" || error.code === "unknown" || error.code === "data_loss") {
      reportError(this.#scope, error, this.#method.info);
    }
    this.#sendHead();
    const trailers = Object.assign(sent(this.#trailersOut), sentMetadata(this.#scope, error, this.#method.info));
    this.#end(JSON.stringify(toConnectError(error)), trailers, error);
  }

  /** What the call ended with. Once the context is done that counts, not how the handler put it. */
  #outcome(thrown: unknown): ServiceError {
    const error = ServiceError.from(thrown);
    const { err, cause } = this.#scope;
    if (err === undefined || (error !== err && error.code !== "canceled")) return error;
    // A listener that closes says why.
    return cause instanceof ServiceError ? cause : err;
  }

  #end(text: string | undefined, trailers: MetadataRecord | undefined, error: ServiceError | undefined): void {
    this.#close(error);
    this.#caller.end(text, sent(trailers));
  }

  #close(error: ServiceError | undefined): void {
    this.#over = true;
    this.#stopWatching?.();
    this.#scope.cancel();
    this.#requests?.fail(new ServiceError("canceled", "the call is over"));
    this.#responses?.leave();
    const state = this.#state;
    this.observation?.end({
      method: this.#method.info,
      protocol: this.protocol,
      code: error?.code ?? "ok",
      status: this.#headSent ? state.settings.status : 0,
      requestBytes: this.#requestBytes,
      responseBytes: this.#responseBytes,
      durationMs: state.root.clock.now() - this.#startedMs,
      error,
    });
    if (--state.inFlight === 0) state.onIdle?.();
  }
}

/** What the other side gets: a copy. */
function sent(record: MetadataRecord | undefined): MetadataRecord {
  return record === undefined ? newRecord() : copyRecord(record);
}
