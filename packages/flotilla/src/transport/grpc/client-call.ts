import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from "node:http2";
import { readStatus } from "../../codec/grpc-status.ts";
import { breakOff, stopSending } from "../../codec/reset-stream.ts";
import type { Context } from "../../context/context.ts";
import { afterFunc } from "../../context/with.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { responseObserver } from "../../metadata/call.ts";
import { Metadata, type MetadataRecord, newRecord } from "../../metadata/metadata.ts";
import { streamFailure } from "./client-errors.ts";
import type { ClientMethod } from "./client-method.ts";
import { ForeignAnswer } from "./foreign-answer.ts";
import { FrameReader } from "./frame-reader.ts";
import type { GrpcPeer, Held } from "./peer.ts";

/** Messages of fewer bytes are not worth compressing. */
const COMPRESS_MIN_BYTES = 1024;

const call = Symbol("flotilla.grpc.call");
type Calling = ClientHttp2Stream & { [call]: ClientCall };

/** One call at the client, on a stream of HTTP/2. The listeners are shared by all streams. */
export abstract class ClientCall {
  protected readonly ctx: Context;
  protected readonly method: ClientMethod;
  protected readonly peer: GrpcPeer;
  protected readonly reader: FrameReader;
  protected stream!: ClientHttp2Stream;
  protected responseHeaders: MetadataRecord | undefined = undefined;
  /** The outcome is known, or the caller has given up. */
  protected over = false;
  /** An answer that is none of gRPC's, and has more to say. */
  private foreign: ForeignAnswer | undefined = undefined;
  private held!: Held;
  private error: unknown = undefined;
  private stop: (() => boolean) | undefined = undefined;

  constructor(ctx: Context, method: ClientMethod, peer: GrpcPeer) {
    this.ctx = ctx;
    this.method = method;
    this.peer = peer;
    this.reader = new FrameReader(peer.settings.maxMessageBytes, "internal");
  }

  /** Opens the stream. @throws ServiceError when the call cannot begin. */
  protected open(): void {
    const headers = this.method.headers(this.ctx);
    const held = this.peer.take();
    let stream: ClientHttp2Stream;
    try {
      stream = held.session.request(headers);
    } catch (error) {
      this.peer.give(held);
      throw new ServiceError("internal", "a header of the call cannot be sent", { cause: error });
    }
    this.held = held;
    this.stream = stream;
    (stream as Calling)[call] = this;
    stream.on("response", onResponse);
    stream.on("data", onData);
    stream.on("trailers", onTrailers);
    stream.on("error", onError);
    stream.on("close", onClose);
    this.stop ??= afterFunc(this.ctx, () => this.abandon(this.ctx.err));
  }

  /** Whether a message, with its prefix, is to be sent compressed. */
  protected compresses(frame: Buffer): boolean {
    return this.peer.settings.compress && frame.byteLength - 5 >= COMPRESS_MIN_BYTES;
  }

  /** Gives the call up with an error of the client's own; the server hears of it. */
  abandon(error: unknown): void {
    if (this.over) return;
    this.settle();
    breakOff(this.stream, "cancel");
    this.failed(error);
  }

  protected settle(): void {
    this.over = true;
    this.stop?.();
    // It may begin anew.
    this.stop = undefined;
  }

  /** The outcome is known, and all was received. */
  protected done(): void {
    this.settle();
    stopSending(this.stream);
  }

  response(headers: IncomingHttpHeaders, flags: number): void {
    if (this.over) return;
    const status = Number(headers[":status"]);
    const record = headers as MetadataRecord;
    const type = headers["content-type"];
    if (record["grpc-status"] === undefined && (status !== 200 || !type?.startsWith("application/grpc"))) {
      const foreign = new ForeignAnswer(this.peer.address, status, headers);
      if (foreign.complete || flags & constants.NGHTTP2_FLAG_END_STREAM) return this.abandon(foreign.error);
      this.foreign = foreign;
      return;
    }
    if (flags & constants.NGHTTP2_FLAG_END_STREAM) return this.told(newRecord(), record, status);
    this.responseHeaders = record;
    this.opened();
  }

  data(chunk: Buffer): void {
    const { foreign } = this;
    if (foreign === undefined) return this.received(chunk);
    foreign.push(chunk);
    if (foreign.complete) this.abandon(foreign.error);
  }

  trailers(trailers: MetadataRecord): void {
    if (!this.over && this.foreign === undefined) this.told(this.responseHeaders ?? newRecord(), trailers, 200);
  }

  private told(headers: MetadataRecord, trailers: MetadataRecord, status: number): void {
    const observer = responseObserver(this.ctx);
    if (observer !== undefined) observer(new Metadata(plain(headers)), new Metadata(plain(trailers)));
    this.ended(readStatus(trailers, status));
  }

  errored(error: unknown): void {
    this.error = error;
  }

  closed(): void {
    this.peer.give(this.held);
    if (this.over) return;
    // A connection that is lost takes nothing back that had come: it may only not have been handed over yet.
    for (let chunk = read(this.stream); chunk !== null && !this.over; chunk = read(this.stream)) this.data(chunk);
    this.conclude();
    if (this.over) return;
    this.settle();
    if (this.foreign !== undefined) return this.failed(this.foreign.error);
    const { gone, broken } = this.held;
    // The deadline may have passed without its timer having run yet: then that is what the call has ended with.
    this.failed(this.ctx.err ?? streamFailure(this.peer.address, this.stream, broken ?? this.error, gone));
  }

  /** The head of the answer is there. */
  protected abstract opened(): void;
  /** Some of the answer has come. */
  protected abstract received(chunk: Buffer): void;
  /** The server's word on how the call ended; messages may still have to be read. */
  protected abstract ended(error: ServiceError | undefined): void;
  /** All that was to come has been received: ends the call as the server said, if it has said so. */
  protected abstract conclude(): void;
  /** The call ended without the server's word. */
  protected abstract failed(error: unknown): void;
}

/** Without the pseudo-header. */
function plain(record: MetadataRecord): MetadataRecord {
  const { ":status": _, ...rest } = record;
  return rest;
}

function read(stream: ClientHttp2Stream): Buffer | null {
  return stream.read() as Buffer | null;
}

/** Shared by all streams: `this` is the stream. */
function onResponse(this: ClientHttp2Stream, headers: IncomingHttpHeaders, flags: number): void {
  (this as Calling)[call].response(headers, flags);
}

function onData(this: ClientHttp2Stream, chunk: Buffer): void {
  (this as Calling)[call].data(chunk);
}

function onTrailers(this: ClientHttp2Stream, trailers: IncomingHttpHeaders): void {
  (this as Calling)[call].trailers(trailers);
}

function onError(this: ClientHttp2Stream, error: unknown): void {
  (this as Calling)[call].errored(error);
}

function onClose(this: ClientHttp2Stream): void {
  (this as Calling)[call].closed();
}
