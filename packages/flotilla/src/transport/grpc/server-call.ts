import { OK, ownMetadata, writeStatus } from "../../codec/grpc-status.ts";
import type { CancelContext } from "../../context/context.ts";
import { requestContext } from "../../context/request-context.ts";
import { UNWATCHED_MS, type Watchable } from "../../context/watch-list.ts";
import { afterFunc } from "../../context/with.ts";
import { sentMetadata } from "../../endpoint/error-metadata.ts";
import type { FinishedCall } from "../../endpoint/finished-call.ts";
import { reportError } from "../../endpoint/report.ts";
import type { Code } from "../../errors/code.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { type ServerCall, serverCallKey } from "../../metadata/call.ts";
import { Metadata, type MetadataRecord, newRecord } from "../../metadata/metadata.ts";
import type { Observation } from "../../metadata/observation.ts";
import type { Carried, Carrier } from "./carrier.ts";
import { acceptsGzip, compressFrame, ENCODINGS, isEncoding, unknownEncoding } from "./codec.ts";
import { FrameReader } from "./frame-reader.ts";
import type { Form } from "./methods.ts";
import type { GrpcState } from "./state.ts";

/** One call on its way through the server, on whatever carries it: its context, its bookkeeping, its one answer. */
export abstract class GrpcServerCall implements ServerCall, Carried, Watchable {
  readonly protocol: string;
  readonly observation: Observation | undefined;
  newer: Watchable | undefined = undefined;
  older: Watchable | undefined = undefined;
  generation: Watchable["generation"] = undefined;
  protected readonly state: GrpcState;
  protected readonly form: Form;
  protected readonly carrier: Carrier;
  protected readonly record: MetadataRecord;
  protected readonly reader: FrameReader;
  protected readonly ctx: CancelContext;
  /** An answer has begun that no other can follow. */
  protected answered = false;
  private headSent = false;
  private over = false;
  private requestBytes = 0;
  private responseBytes = 0;
  private readonly startedMs: number;
  private stopWatching: (() => boolean) | undefined = undefined;
  private requestHeaders: Metadata | undefined = undefined;
  private headersOut: MetadataRecord | undefined = undefined;
  private headersOutView: Metadata | undefined = undefined;
  private trailersOut: MetadataRecord | undefined = undefined;
  private trailersOutView: Metadata | undefined = undefined;

  constructor(
    state: GrpcState,
    form: Form,
    carrier: Carrier,
    headers: MetadataRecord,
    protocol: string,
    timeoutMs: number,
  ) {
    this.protocol = protocol;
    this.state = state;
    this.form = form;
    this.carrier = carrier;
    this.record = headers;
    this.reader = new FrameReader(state.settings.maxMessageBytes);
    this.ctx = requestContext(state.root, timeoutMs, serverCallKey, this as ServerCall);
    const observer = state.observers.get(form.method.info);
    this.startedMs = observer === undefined ? 0 : state.root.clock.now();
    this.observation = observer?.begin(this, state.root, this.startedMs);
    state.inFlight++;
  }

  get headers(): Metadata {
    return (this.requestHeaders ??= new Metadata(this.record));
  }

  get traceparent(): string | undefined {
    return this.record["traceparent"] as string | undefined;
  }

  get tracestate(): string | undefined {
    return this.record["tracestate"] as string | undefined;
  }

  get deadline(): number | undefined {
    return this.ctx.deadline;
  }

  get responseHeaders(): Metadata {
    return (this.headersOutView ??= new Metadata((this.headersOut ??= newRecord())));
  }

  get responseTrailers(): Metadata {
    return (this.trailersOutView ??= new Metadata((this.trailersOut ??= newRecord())));
  }

  get peer(): string {
    return this.carrier.peer;
  }

  /**
   * Begins: refuses what is refused anyway, before anything is read of it.
   *
   * @param bad - what was wrong with the request so far.
   */
  start(timeoutMs: number, watched: boolean, bad: unknown): void {
    if (bad !== undefined) return this.fail(bad);
    const encoding = this.record["grpc-encoding"];
    if (!isEncoding(encoding)) return this.fail(unknownEncoding(encoding));
    // Out of time on arrival: no work is begun.
    const refused = this.ctx.err ?? this.form.method.refuses?.(this.ctx);
    if (refused !== undefined) return this.fail(refused);
    if (watched || timeoutMs <= 2 * UNWATCHED_MS) this.watch();
    else this.state.young.add(this);
    this.carrier.read(this);
  }

  watch(): void {
    this.stopWatching = afterFunc(this.ctx, () => {
      const { err } = this.ctx;
      if (!this.answered && err !== undefined) this.fail(err);
    });
  }

  received(chunk: Buffer): void {
    this.requestBytes += chunk.byteLength;
    if (!this.answered) this.take(chunk);
  }

  /** Some of the request has come, and is still wanted. */
  protected abstract take(chunk: Buffer): void;
  abstract receivedAll(): void;
  /** The call is over: whoever waits inside it must wait no longer. */
  protected abstract ended(error: ServiceError | undefined): void;

  aborted(): void {
    if (this.over) return;
    this.answered = true;
    const error = new ServiceError("canceled", "the client went away");
    this.ctx.cancel(error);
    this.end("canceled", error);
  }

  failed(error: ServiceError): void {
    this.fail(error);
  }

  unsent(error: unknown): void {
    reportError(this.ctx, ServiceError.from(error), this.form.method.info);
  }

  /** Whether a message is to be sent compressed. */
  protected compresses(frame: Buffer): boolean {
    const { compressMinBytes } = this.state.settings;
    if (compressMinBytes === false || frame.byteLength - 5 < compressMinBytes) return false;
    return acceptsGzip(this.record["grpc-accept-encoding"]);
  }

  /** Sends the one message of a call with one answer, and ends it. */
  protected answer(message: unknown): void {
    if (this.answered) return;
    try {
      const frame = this.form.output.frame(message);
      if (this.compresses(frame)) return this.answerCompressed(frame);
      this.sendAnswer(this.head(false), frame);
    } catch (error) {
      this.fail(error);
    }
  }

  private answerCompressed(frame: Buffer): void {
    compressFrame(frame)
      .then((packed) => {
        if (!this.answered) this.sendAnswer(this.head(true), packed);
      })
      .catch((error: unknown) => this.fail(error));
  }

  private sendAnswer(head: MetadataRecord, frame: Buffer): void {
    const trailers = this.successTrailers();
    this.responseBytes += frame.byteLength;
    this.carrier.answer(head, frame, trailers);
    this.answered = true;
    this.headSent = true;
    this.end("ok", undefined);
  }

  /** Sends a message of a stream. False when the caller should wait. */
  protected write(frame: Buffer): boolean {
    this.sendHead();
    this.responseBytes += frame.byteLength;
    return this.carrier.write(frame);
  }

  /** Ends a stream of answers. */
  protected finish(): void {
    if (this.answered) return;
    this.sendHead();
    this.answered = true;
    this.carrier.end(this.successTrailers());
    this.end("ok", undefined);
  }

  private sendHead(): void {
    if (this.headSent) return;
    // A stream says how it compresses before it knows its messages.
    const { compressMinBytes } = this.state.settings;
    const gzip = compressMinBytes !== false && acceptsGzip(this.record["grpc-accept-encoding"]);
    this.carrier.head(this.head(gzip));
    this.headSent = true;
  }

  private head(gzip: boolean): MetadataRecord {
    const { headersOut } = this;
    const { head } = this.form;
    if (headersOut === undefined && !gzip) return head;
    const all = Object.assign(newRecord(), head);
    if (gzip) all["grpc-encoding"] = "gzip";
    return headersOut === undefined ? all : ownMetadata(headersOut, all);
  }

  private successTrailers(): MetadataRecord {
    if (this.trailersOut === undefined) return OK;
    const trailers = ownMetadata(this.trailersOut);
    trailers["grpc-status"] = "0";
    return trailers;
  }

  /** Ends the call with whatever was thrown. Later outcomes are ignored. */
  fail(thrown: unknown): void {
    if (this.answered || this.over) return;
    const error = this.outcome(thrown);
    if (error.code === "internal" || error.code === "unknown" || error.code === "data_loss") {
      reportError(this.ctx, error, this.form.method.info);
    }
    this.answered = true;
    try {
      this.sendError(error);
    } catch (failure) {
      // The answer could not be written: nothing is left but to cut the call off, so that the client notices.
      this.unsent(failure);
      this.carrier.cut();
    }
    this.end(error.code, error);
  }

  private sendError(error: ServiceError): void {
    const trailers = this.trailersOut === undefined ? newRecord() : ownMetadata(this.trailersOut);
    ownMetadata(sentMetadata(this.ctx, error, this.form.method.info), trailers);
    writeStatus(error, trailers);
    // What would have been read, as gRPC's compression document has it.
    if (!isEncoding(this.record["grpc-encoding"])) trailers["grpc-accept-encoding"] = ENCODINGS;
    if (!this.headSent && this.headersOut !== undefined) {
      this.carrier.head(this.head(false));
      this.headSent = true;
    }
    if (this.headSent) this.carrier.end(trailers);
    else this.carrier.fail(Object.assign(newRecord(), this.form.head, trailers));
  }

  /** What the call ended with. Once the context is done that counts, not how the handler put it. */
  private outcome(thrown: unknown): ServiceError {
    const error = ServiceError.from(thrown);
    const { err, cause } = this.ctx;
    if (err === undefined || (error !== err && error.code !== "canceled")) return error;
    // A listener that closes says why.
    return cause instanceof ServiceError ? cause : err;
  }

  /** Everything the caller was owed has been handed over: lets go of the context and counts the call as done. */
  private end(code: "ok" | Code, error: ServiceError | undefined): void {
    if (this.over) return;
    this.over = true;
    const { state } = this;
    state.young.remove(this);
    this.stopWatching?.();
    this.ctx.cancel();
    this.ended(error);
    state.inFlight--;
    if (this.observation !== undefined) this.told(code, error);
    if (state.inFlight === 0) state.onIdle?.();
  }

  private told(code: "ok" | Code, error: ServiceError | undefined): void {
    const call: FinishedCall = {
      method: this.form.method.info,
      protocol: this.protocol,
      code,
      status: this.headSent || code !== "canceled" ? 200 : 0,
      requestBytes: this.requestBytes,
      responseBytes: this.responseBytes,
      durationMs: this.state.root.clock.now() - this.startedMs,
      error,
    };
    this.observation!.end(call);
  }
}
