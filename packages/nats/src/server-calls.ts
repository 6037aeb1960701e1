import { createInbox, type Msg } from "@nats-io/transport-node";
import type { Clock } from "flotilla/clock";
import { ServiceError } from "flotilla/errors";
import { type Accepted, JSON_TYPE, newRecord, PROTO_TYPE, type Serving } from "flotilla/wire";
import { STREAM_HEADER, single, utf8 } from "./headers.ts";
import { headOf, wireOf } from "./incoming.ts";
import type { Link } from "./link.ts";
import type { MethodCount } from "./method-count.ts";
import type { NatsSettings } from "./options.ts";
import { readOpening, ServedStream } from "./served-stream.ts";
import { ServedUnary } from "./served-unary.ts";
import { errorText, type ServerSide, sendError, unprocessedError } from "./server-side.ts";
import { tooLarge } from "./too-large.ts";

/** Longest reply subject that is answered. */
const MAX_REPLY_CHARS = 512;

/** The calls of one listener: from messages to the handlers, and back. */
export class ServerCalls implements ServerSide {
  readonly settings: NatsSettings;
  readonly clock: Clock;
  readonly link: Link;
  readonly serving: Serving;
  draining = false;
  readonly #inbox: string;
  /** By reply subject: what a client that gives a call up names it by. */
  readonly #calls = new Map<string, Accepted>();
  readonly #streams = new Map<string, ServedStream>();
  #next = 0;

  constructor(settings: NatsSettings, clock: Clock, link: Link, serving: Serving) {
    this.settings = settings;
    this.clock = clock;
    this.link = link;
    this.serving = serving;
    this.#inbox = `${createInbox(settings.broker.inboxPrefix)}.`;
  }

  /** Where clients send what belongs to a stream. */
  get streamSubjects(): string {
    return `${this.#inbox}*`;
  }

  streamSubject(token: string): string {
    return this.#inbox + token;
  }

  /** Takes a request. Never throws: what is wrong is answered. */
  request(count: MethodCount, msg: Msg): void {
    const reply = replyOf(msg);
    let opened: ServedStream | undefined;
    try {
      if (reply.length > MAX_REPLY_CHARS) return;
      const headers = headOf(msg)?.headers ?? newRecord();
      const text = single(headers, STREAM_HEADER);
      const opening = text === undefined ? undefined : readOpening(text);
      if (opening !== undefined) {
        // A stream to nobody.
        if (reply === "") return;
        headers[STREAM_HEADER] = undefined;
        const token = (this.#next++).toString(36);
        opened = new ServedStream(this, count, reply, token, opening);
        this.#streams.set(token, opened);
        this.#calls.set(reply, opened);
      }
      this.#check(count, headers, opening?.kind ?? "unary");
      if (opened !== undefined) return opened.begin(headers, msg.data);
      const wire = wireOf(msg.data, headers["content-type"] === PROTO_TYPE);
      const call = new ServedUnary(this, count, reply);
      call.begin(headers, wire);
      if (reply !== "") this.#calls.set(reply, call);
    } catch (error) {
      if (opened !== undefined) return opened.refuse(error);
      const { text, untouched } = unprocessedError(error);
      count.ended(0, text);
      sendError(this, reply, text, "", untouched);
    }
  }

  /** @throws ServiceError when the request cannot be served. */
  #check({ info }: MethodCount, headers: ReturnType<typeof newRecord>, kind: string): void {
    if (this.draining) throw new ServiceError("unavailable", "the server is draining: ask another");
    if (this.link.congested) throw new ServiceError("unavailable", "the broker does not keep up with the answers");
    if (info.kind !== kind) {
      throw new ServiceError(
        "unimplemented",
        `${info.procedure} is ${info.kind}, and was called as ${kind} (header ${STREAM_HEADER})`,
      );
    }
    const type = (headers["content-type"] ??= JSON_TYPE);
    if (type !== JSON_TYPE && type !== PROTO_TYPE) {
      throw new ServiceError(
        "unimplemented",
        `content-type must be ${JSON_TYPE} or ${PROTO_TYPE}, got ${JSON.stringify(String(type).slice(0, 64))}`,
      );
    }
  }

  /** Answers what the tools of NATS ask: of a service with many methods that may be more than the broker takes. */
  tell(question: Msg, text: string): void {
    const reply = replyOf(question);
    if (reply === "") return;
    const payload = Buffer.from(text);
    const { maxPayload } = this.link;
    if (payload.length <= maxPayload) this.link.send(reply, payload, undefined, undefined);
    else sendError(this, reply, errorText(tooLarge(question.subject, payload.length, maxPayload)), "");
  }

  /** Takes what belongs to a stream. Never throws. */
  frame(msg: Msg): void {
    this.#streams.get(msg.subject.slice(this.#inbox.length))?.received(msg);
  }

  /** A client has given a call up. */
  cancel(msg: Msg): void {
    if (msg.data.length > MAX_REPLY_CHARS) return;
    const reply = utf8(msg.data);
    const call = this.#calls.get(reply);
    this.#calls.delete(reply);
    call?.abandoned();
  }

  forget(reply: string): void {
    this.#calls.delete(reply);
  }

  forgetStream(token: string, reply: string): void {
    this.#streams.delete(token);
    this.#calls.delete(reply);
  }

  /** The broker is gone, and with it every stream. Other calls go on: their answers may yet find a way. */
  lost(): void {
    for (const stream of this.#streams.values()) {
      stream.lost(new ServiceError("unavailable", "the connection to the broker was lost"));
    }
  }
}

/** Where an answer goes; empty where nobody waits for one. What begins with `$` is the broker's own: an answer there would ask it for something in our name. */
function replyOf({ reply = "" }: Msg): string {
  return reply.startsWith("$") ? "" : reply;
}
