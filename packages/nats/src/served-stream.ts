import type { Msg } from "@nats-io/nats-core";
import type { Timer } from "flotilla/clock";
import { ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import { type Accepted, type Caller, newRecord, Pipe, PROTO_TYPE, type Wire } from "flotilla/wire";
import { Inflow, Outflow } from "./flow.ts";
import { FRAME, readLimit, writeEnding, writeLimit, writeRecord } from "./frames.ts";
import { bytesOf, wireOf } from "./incoming.ts";
import type { MethodCount } from "./method-count.ts";
import { MAX_BEAT_MS, MAX_WINDOW_BYTES, MIN_BEAT_MS } from "./options.ts";
import { errorText, type ServerSide, unprocessedError } from "./server-side.ts";
import { StreamEnd } from "./stream-end.ts";

/** What a client says of the stream it opens. */
export interface Opening {
  readonly kind: string;
  /** What may be sent to it at once, bytes. */
  readonly window: number;
  readonly beatMs: number;
}

/** Reads the header `flotilla-stream`. @throws ServiceError `invalid_argument` when it is malformed. */
export function readOpening(text: string): Opening {
  const [, kind, window, beat] = /^(server_stream|client_stream|bidi_stream) (\d{1,9}) (\d{1,9})$/.exec(text) ?? [];
  const opening = { kind: kind ?? "", window: Number(window), beatMs: Number(beat) };
  const { window: bytes, beatMs } = opening;
  if (kind === undefined || bytes > MAX_WINDOW_BYTES || beatMs < MIN_BEAT_MS || beatMs > MAX_BEAT_MS) {
    throw new ServiceError(
      "invalid_argument",
      `header flotilla-stream must be kind, window in bytes (at most ${MAX_WINDOW_BYTES}) and heartbeat in milliseconds (${MIN_BEAT_MS} to ${MAX_BEAT_MS}), got ${JSON.stringify(text.slice(0, 64))}`,
    );
  }
  return opening;
}

/** A stream at the server: what it hears of the client, and what the client hears of it. */
export class ServedStream implements Caller {
  readonly #calls: ServerSide;
  readonly #count: MethodCount;
  readonly #reply: string;
  readonly #token: string;
  readonly #end: StreamEnd;
  readonly #outflow: Outflow;
  readonly #opening: Opening;
  readonly #startedMs: number;
  #inflow: Inflow | undefined;
  #requests: Pipe<Wire> | undefined;
  #binary = false;
  #call: Accepted | undefined;
  #beat: Timer | undefined;
  #broken = false;
  #over = false;

  /** @param token - the last token of the subject on which the client reaches it. */
  constructor(calls: ServerSide, count: MethodCount, reply: string, token: string, opening: Opening) {
    this.#calls = calls;
    this.#count = count;
    this.#reply = reply;
    this.#token = token;
    this.#opening = opening;
    this.#end = new StreamEnd(calls.link);
    this.#end.peer = reply;
    this.#outflow = new Outflow(opening.window);
    this.#startedMs = calls.clock.now();
  }

  /** Begins the call. Never throws: the client hears of a refusal. */
  begin(headers: MetadataRecord, first: Uint8Array): void {
    const { serving, settings, clock } = this.#calls;
    const { info } = this.#count;
    this.#binary = headers["content-type"] === PROTO_TYPE;
    let request: Wire | Pipe<Wire>;
    if (info.kind === "server_stream") request = wireOf(first, this.#binary);
    else {
      const requests = new Pipe<Wire>(settings.wire.maxWaitingMessages);
      request = this.#requests = requests;
      this.#inflow = new Inflow(settings.windowBytes, {
        write: (wire) => requests.write(wire),
        finish: () => requests.end(),
        allow: (limit) => this.#end.send(FRAME.credit, writeLimit(limit)),
      });
    }
    try {
      this.#call = serving.accept(info, headers, request, this);
    } catch (error) {
      return this.refuse(error);
    }
    const limit = writeLimit(this.#requests === undefined ? 0 : settings.windowBytes);
    this.#end.send(FRAME.accept, limit, this.#calls.streamSubject(this.#token));
    this.#beat = this.#end.watch(clock, this.#opening.beatMs, (error) => this.lost(error));
  }

  /** Says that the request reached no handler. */
  refuse(thrown: unknown): void {
    const { text, untouched } = unprocessedError(thrown);
    this.#close(text);
    this.#end.send(FRAME.end, writeEnding({ error: text, trailers: newRecord(), unprocessed: untouched }));
  }

  received(msg: Msg): void {
    try {
      this.#frame(msg.data);
    } catch (thrown) {
      const { code, message } = ServiceError.from(thrown);
      // What a client has broken is no failure of the server's.
      const error = new ServiceError(code === "internal" ? "invalid_argument" : code, message);
      // A handler that reads the requests is told. Any other is cancelled, and so is one that still goes on when the next frame comes.
      if (this.#requests !== undefined && !this.#broken) {
        this.#broken = true;
        return this.#requests.fail(error);
      }
      this.abandon(error);
      this.#call?.abandoned();
    }
  }

  /** @throws ServiceError when the frame has no place here. */
  #frame(bytes: Uint8Array): void {
    const { kind, body } = this.#end.read(bytes);
    if (kind === FRAME.data || kind === FRAME.end) {
      const inflow = this.#inflow;
      if (inflow === undefined) throw new ServiceError("internal", "the client sends messages that are not asked for");
      if (kind === FRAME.end) inflow.end();
      else if (!inflow.take(wireOf(body, this.#binary), body.length)) {
        throw new ServiceError("resource_exhausted", "the client sends more than it was allowed to");
      }
    } else if (kind === FRAME.credit) {
      if (!this.#outflow.allow(readLimit(body))) {
        throw new ServiceError("internal", "the client allows more than any window has");
      }
    } else if (kind === FRAME.cancel) this.abandoned();
    else if (kind !== FRAME.beat) throw new ServiceError("internal", `a client sends no frame of kind ${kind}`);
  }

  head(headers: MetadataRecord): void {
    if (!this.#over) this.#send(FRAME.head, writeRecord(headers));
  }

  message(wire: Wire): boolean | Promise<boolean> {
    if (this.#over) return false;
    const bytes = bytesOf(wire);
    this.#end.send(FRAME.data, bytes);
    const more = this.#outflow.sent(bytes.length);
    return this.#calls.link.congested ? this.#relieved(more) : more;
  }

  async #relieved(more: boolean | Promise<boolean>): Promise<boolean> {
    await this.#calls.link.relief();
    return more;
  }

  end(error: string | undefined, trailers: MetadataRecord): void {
    if (this.#over) return;
    this.#close(error);
    this.#send(FRAME.end, writeEnding({ error, trailers, unprocessed: false }));
  }

  /** What goes beside the messages may be too large for the broker: then the client hears of that instead. */
  #send(kind: typeof FRAME.head | typeof FRAME.end, body: Uint8Array): void {
    try {
      this.#end.send(kind, body);
    } catch (thrown) {
      const error = errorText(ServiceError.from(thrown));
      this.#end.send(FRAME.end, writeEnding({ error, trailers: newRecord(), unprocessed: false }));
    }
  }

  abandon(error: ServiceError): void {
    this.end(errorText(error), newRecord());
  }

  /** The client has given the call up, or is gone. */
  abandoned(): void {
    this.lost(new ServiceError("canceled", "the client went away"));
  }

  lost(error: ServiceError): void {
    if (this.#over) return;
    this.#close(errorText(error));
    this.#call?.abandoned();
  }

  #close(error: string | undefined): void {
    this.#over = true;
    this.#beat?.cancel();
    this.#inflow?.close();
    this.#outflow.close();
    this.#calls.forgetStream(this.#token, this.#reply);
    this.#count.ended(this.#calls.clock.now() - this.#startedMs, error);
  }
}
