import type { ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { breakOff, letGo } from "../../codec/reset-stream.ts";
import type { ServiceError } from "../../errors/service-error.ts";
import type { MetadataRecord } from "../../metadata/metadata.ts";

/** A call, as what carries it sees it. */
export interface Carried {
  /** Some of the request has come. */
  received(chunk: Buffer): void;
  /** The request has come to its end. */
  receivedAll(): void;
  /** What has come cannot be read. */
  failed(error: ServiceError): void;
  /** The client has gone before the answer was complete. */
  aborted(): void;
  /** Not all could be sent as it was told to; the call has ended for its observers. */
  unsent(error: unknown): void;
}

/** What carries a call: a stream of HTTP/2, or request and response of gRPC-Web. The call sends one answer, in one of the ways. */
export interface Carrier {
  /** `host:port`. */
  readonly peer: string;
  /** The request's body; only paused and resumed by the call. */
  readonly body: Readable;
  /** Begins to hand over the request. */
  read(call: Carried): void;
  /** Sends a whole answer. */
  answer(head: MetadataRecord, frame: Buffer, trailers: MetadataRecord): void;
  /** Sends the head of an answer whose messages follow. */
  head(head: MetadataRecord): void;
  /** False when the caller should wait for `drained`. */
  write(frame: Buffer): boolean;
  /** Resolves once more may be written, or nothing can be any more. */
  drained(): Promise<void>;
  /** Ends an answer whose head was sent. */
  end(trailers: MetadataRecord): void;
  /** Sends an answer that has no messages: head and trailers in one. */
  fail(both: MetadataRecord): void;
  /** Cuts the call off. */
  cut(): void;
}

const carrier = Symbol("flotilla.grpc.carrier");
type Carrying = ServerHttp2Stream & { [carrier]: Http2Carrier };

const WITH_TRAILERS = { waitForTrailers: true, sendDate: false };
const NO_MORE = { endStream: true, sendDate: false };

/** Carries a call on a stream of HTTP/2. The listeners are shared by all streams: nothing is made a call but this object. */
export class Http2Carrier implements Carrier {
  readonly body: ServerHttp2Stream;
  #call: Carried | undefined = undefined;
  #trailers: MetadataRecord | undefined = undefined;
  #drained: (() => void) | undefined = undefined;

  constructor(stream: ServerHttp2Stream) {
    this.body = stream;
    (stream as Carrying)[carrier] = this;
    // An error nobody hears would end the process; what it means is told by the other events.
    stream.on("error", ignore);
    stream.on("aborted", onAborted);
  }

  get peer(): string {
    return peerOf(this.body.session?.socket);
  }

  read(call: Carried): void {
    const { body } = this;
    this.#call = call;
    if (body.aborted) return call.aborted();
    body.on("data", onData);
    body.on("end", onEnd);
  }

  answer(head: MetadataRecord, frame: Buffer, trailers: MetadataRecord): void {
    this.head(head);
    this.#trailers = trailers;
    this.body.end(frame);
  }

  head(head: MetadataRecord): void {
    this.body.on("wantTrailers", onWantTrailers);
    this.body.respond(head, WITH_TRAILERS);
  }

  write(frame: Buffer): boolean {
    return this.body.write(frame);
  }

  drained(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#drained === undefined) this.body.on("drain", onDrain);
      this.#drained = resolve;
    });
  }

  end(trailers: MetadataRecord): void {
    this.#trailers = trailers;
    this.body.end();
  }

  fail(both: MetadataRecord): void {
    this.body.respond(both, NO_MORE);
    // The answer counts, and the client need not send the rest (RFC 9113, section 8.1). In a turn of its own: before Node 24 an answer that is closed in the same
    // turn is not sent.
    if (!this.body.readableEnded) setImmediate(letGo, this.body);
  }

  cut(): void {
    breakOff(this.body, "internal");
  }

  data(chunk: Buffer): void {
    this.#call!.received(chunk);
  }

  ended(): void {
    this.#call!.receivedAll();
  }

  gone(): void {
    this.resume();
    this.#call?.aborted();
  }

  resume(): void {
    const resume = this.#drained;
    this.#drained = noWait;
    resume?.();
  }

  sendTrailers(): void {
    const { body } = this;
    try {
      body.sendTrailers(this.#trailers!);
    } catch (error) {
      breakOff(body, "internal");
      this.#call?.unsent(error);
    }
    // Node sends trailers in the next turn: only behind them may the client be told to stop sending.
    if (!body.readableEnded) setImmediate(letGo, body);
  }
}

/** Who calls, `host:port`. */
export function peerOf(socket: Pick<Socket, "remoteAddress" | "remotePort"> | undefined): string {
  const address = socket?.remoteAddress ?? "unknown";
  return `${address.includes(":") ? `[${address}]` : address}:${socket?.remotePort ?? 0}`;
}

/** Shared by all streams: `this` is the stream. */
function onData(this: ServerHttp2Stream, chunk: Buffer): void {
  (this as Carrying)[carrier].data(chunk);
}

function onEnd(this: ServerHttp2Stream): void {
  (this as Carrying)[carrier].ended();
}

function onAborted(this: ServerHttp2Stream): void {
  (this as Carrying)[carrier].gone();
}

function onDrain(this: ServerHttp2Stream): void {
  (this as Carrying)[carrier].resume();
}

function onWantTrailers(this: ServerHttp2Stream): void {
  (this as Carrying)[carrier].sendTrailers();
}

function ignore(): void {}
function noWait(): void {}
