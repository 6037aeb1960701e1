import type { Msg } from "@nats-io/nats-core";
import type { Timer } from "flotilla/clock";
import type { MethodInfo } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import { type Caller, newRecord, Pipe, PROTO_TYPE, type Wire } from "flotilla/wire";
import {
  type ClientEntry,
  type ClientSide,
  nobodyServes,
  requestLines,
  sendCancel,
  sendRequest,
  unprocessed,
} from "./client-entry.ts";
import { Inflow, Outflow } from "./flow.ts";
import { type Ending, FRAME, type Frame, readEnding, readLimit, readRecord, writeLimit } from "./frames.ts";
import { headerLine, NO_RESPONDERS, STREAM_HEADER } from "./headers.ts";
import { bytesOf, headOf, wireOf } from "./incoming.ts";
import { StreamEnd } from "./stream-end.ts";
import { cancelSubjectOf, subjectOf } from "./subjects.ts";

const nothing = new Uint8Array();

/** A call with a stream of requests, of responses, or both. */
export class ClientStream implements ClientEntry {
  readonly subject: string;
  readonly cancelSubject: string;
  reply: string | undefined;
  /** Silence ends it. */
  readonly giveUpAtMs = Infinity;
  readonly #calls: ClientSide;
  readonly #method: MethodInfo;
  readonly #headers: MetadataRecord;
  readonly #request: Wire | Pipe<Wire>;
  readonly #caller: Caller;
  readonly #binary: boolean;
  readonly #end: StreamEnd;
  readonly #inflow: Inflow;
  readonly #outflow = new Outflow(0);
  #beat: Timer | undefined;
  #headed = false;
  #ending: Ending | undefined;
  #over = false;

  constructor(
    calls: ClientSide,
    method: MethodInfo,
    headers: MetadataRecord,
    request: Wire | Pipe<Wire>,
    caller: Caller,
  ) {
    this.#calls = calls;
    this.#method = method;
    this.#headers = headers;
    this.#request = request;
    this.#caller = caller;
    this.#binary = headers["content-type"] === PROTO_TYPE;
    this.subject = subjectOf(calls.settings.prefix, method.procedure);
    this.cancelSubject = cancelSubjectOf(calls.settings.prefix, method.service);
    this.#end = new StreamEnd(calls.link);
    this.#inflow = new Inflow(calls.settings.windowBytes, {
      write: (wire) => caller.message(wire),
      finish: () => this.#finish(),
      allow: (limit) => {
        if (!this.answered) this.#end.send(FRAME.credit, writeLimit(limit));
      },
    });
  }

  get answered(): boolean {
    return this.#ending !== undefined;
  }

  start(reply: string, waitedMs: number): void {
    const { windowBytes, heartbeatMs } = this.#calls.settings;
    const opening = headerLine(STREAM_HEADER, `${this.#method.kind} ${windowBytes} ${heartbeatMs}`);
    const first = this.#request instanceof Pipe ? nothing : bytesOf(this.#request);
    sendRequest(this.#calls.link, this.subject, first, reply, requestLines(this.#headers, waitedMs) + opening);
    this.reply = reply;
    this.#beat = this.#end.watch(this.#calls.clock, heartbeatMs, (error) => this.fail(error));
  }

  received(msg: Msg): void {
    if (headOf(msg)?.status === NO_RESPONDERS && msg.data.length === 0) {
      return this.fail(nobodyServes(this.subject, this.#calls.link.address));
    }
    this.#frame(this.#end.read(msg.data), msg.reply);
  }

  /** @throws ServiceError when the frame has no place here. */
  #frame(frame: Frame, reply: string | undefined): void {
    const { kind, body } = frame;
    if (kind === FRAME.data) {
      if (!this.#headed) throw new ServiceError("internal", `${this.subject}: a message came before the headers`);
      if (!this.#inflow.take(wireOf(body, this.#binary), body.length)) {
        throw new ServiceError("resource_exhausted", `${this.subject}: the server sends more than it was allowed to`);
      }
    } else if (kind === FRAME.accept) {
      if (reply === undefined || reply === "" || this.#end.peer !== undefined) {
        throw new ServiceError("internal", `${this.subject}: the call was taken in twice, or by nobody`);
      }
      this.#end.peer = reply;
      this.#allow(readLimit(body));
      if (this.#request instanceof Pipe) void this.#sendAll(this.#request);
    } else if (kind === FRAME.head) {
      if (this.#headed) throw new ServiceError("internal", `${this.subject}: headers came twice`);
      this.#headed = true;
      this.#caller.head(readRecord(body));
    } else if (kind === FRAME.end) {
      this.#ending = readEnding(body);
      // The server is silent from now on, however long what has come waits for its reader.
      this.#beat?.cancel();
      this.#inflow.end();
    } else if (kind === FRAME.credit) this.#allow(readLimit(body));
    else if (kind === FRAME.cancel) throw new ServiceError("internal", `${this.subject}: a server cannot cancel`);
  }

  #allow(limit: number): void {
    if (!this.#outflow.allow(limit)) {
      throw new ServiceError("internal", `${this.subject}: the server allows ${limit} bytes, which is absurd`);
    }
  }

  async #sendAll(requests: Pipe<Wire>): Promise<void> {
    try {
      // What was allowed is waited for before a message is taken from its writer.
      let more = await this.#outflow.room();
      while (more) {
        if (this.#calls.link.congested) await this.#calls.link.relief();
        const { done, value } = await requests.next();
        if (this.#over) return;
        if (done) {
          this.#end.send(FRAME.end, undefined);
          return;
        }
        const bytes = bytesOf(value);
        this.#end.send(FRAME.data, bytes);
        more = await this.#outflow.sent(bytes.length);
      }
    } catch (error) {
      // A message that cannot be sent.
      this.fail(ServiceError.from(error));
    }
  }

  /** All messages were handed on, and the server had said how the call ended. */
  #finish(): void {
    if (this.#over) return;
    const { error, trailers, unprocessed: untouched } = this.#ending!;
    if (error !== undefined && untouched) return this.fail(unprocessed(error));
    this.#close();
    if (!this.#headed) this.#caller.head(newRecord());
    this.#caller.end(error, trailers);
  }

  fail(error: ServiceError): void {
    if (this.#over) return;
    this.#close();
    // The server may still be there, and hears of it as far as it can be reached.
    this.#tell();
    this.#caller.abandon(error);
  }

  abandoned(): void {
    if (this.#over) return;
    this.#close();
    this.#tell();
  }

  #tell(): void {
    if (this.#ending !== undefined) return;
    if (this.#end.peer !== undefined) this.#end.send(FRAME.cancel, undefined);
    else sendCancel(this.#calls.link, this);
  }

  #close(): void {
    this.#over = true;
    this.#beat?.cancel();
    this.#inflow.close();
    this.#outflow.close();
    if (this.#request instanceof Pipe) this.#request.leave();
    this.#calls.forget(this, this.reply);
  }
}
