import type { Msg } from "@nats-io/nats-core";
import { nuid } from "@nats-io/transport-node";
import { type Clock, type Random, systemClock, systemRandom } from "flotilla/clock";
import type { Connection, Connector, Endpoint, MethodInfo } from "flotilla/endpoint";
import { codeFromHttp, ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import {
  type Accepted,
  type Acceptor,
  type Caller,
  Calling,
  newRecord,
  type Pipe,
  PROTO_TYPE,
  type Wire,
} from "flotilla/wire";
import { ClientCalls } from "../client-calls.ts";
import { type ClientEntry, nobodyServes, requestLines, sendRequest } from "../client-entry.ts";
import { type ClientSettings, settleClient } from "../client-options.ts";
import { headerLine, NO_RESPONDERS, single } from "../headers.ts";
import { bytesOf, headOf } from "../incoming.ts";
import { hostOf } from "../options.ts";
import { subjectOf } from "../subjects.ts";
import { oneWayFault } from "./one-way.ts";
import { type JetStreamClientOptions, settleEvents } from "./options.ts";
import { readAnswer } from "./stream-answer.ts";

const IDEMPOTENCY_KEY = "idempotency-key";
/** What a message must leave free of the broker's limit: the headers that it is given as a dead letter. */
const DEAD_HEAD_BYTES = 5 * 1024;
const FULL = /maximum|exceed|insufficient/i;

/**
 * Publishes to JetStream: one-way commands and events. A call resolves once the stream has stored the message; what becomes of it then is the
 * concern of those who read the stream.
 *
 * ```ts
 * const events = client(OrderEvents, { discover: ["nats://127.0.0.1:4222"], transport: jetstreamClient(), use: [idempotencyKeys({ methods: () => true })] });
 * await events.placed(ctx, { id: "o-17" });
 * ```
 *
 * The header `idempotency-key`, with the method, is the message's id: what has come already within the stream's window (two minutes unless it says otherwise) is not stored
 * again, so attempts may be repeated. Methods are unary, and their answer must be able to be empty.
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function jetstreamClient(
  options: JetStreamClientOptions = {},
  clock: Clock = systemClock,
  random: Random = systemRandom,
): Connector {
  const settings = { ...settleClient("jetstreamClient", options), ...settleEvents("jetstreamClient", options) };
  return {
    protocol: "nats",
    callProtocol: "jetstream",
    connect(address) {
      const servers = [address, ...settings.servers].map((server) => hostOf("jetstreamClient", server));
      return new Publisher(address, servers, settings, clock, random);
    },
  };
}

class Publisher implements Connection, Acceptor {
  readonly #calls: ClientCalls;
  readonly #calling: Calling;

  constructor(address: string, servers: readonly string[], settings: ClientSettings, clock: Clock, random: Random) {
    this.#calls = new ClientCalls(address, servers, settings, clock, random);
    this.#calling = new Calling(address, settings.wire, { acceptor: () => this });
  }

  endpoint(method: MethodInfo): Endpoint {
    const fault = oneWayFault(method);
    if (fault === undefined) return this.#calling.endpoint(method);
    return async function cannotBePublished() {
      throw new ServiceError("unimplemented", fault);
    };
  }

  accept(method: MethodInfo, headers: MetadataRecord, request: Wire | Pipe<Wire>, caller: Caller): Accepted {
    const entry = new Publishing(this.#calls, method, headers, request as Wire, caller);
    this.#calls.begin(entry);
    return entry;
  }

  async drain(): Promise<void> {
    await this.#calling.drain();
    await this.#calls.close();
  }

  async close(): Promise<void> {
    await this.#calling.close();
    await this.#calls.close();
  }
}

/** A message on its way into a stream. */
class Publishing implements ClientEntry {
  readonly answered = false;
  readonly subject: string;
  readonly cancelSubject = undefined;
  reply: string | undefined;
  readonly giveUpAtMs: number;
  readonly #calls: ClientCalls;
  readonly #headers: MetadataRecord;
  readonly #id: string;
  readonly #request: Wire;
  readonly #caller: Caller;
  #over = false;

  constructor(calls: ClientCalls, method: MethodInfo, headers: MetadataRecord, request: Wire, caller: Caller) {
    this.#calls = calls;
    this.#request = request;
    this.#caller = caller;
    this.subject = subjectOf(calls.settings.prefix, method.procedure);
    const { timeoutMs } = calls.settings.wire;
    this.giveUpAtMs = headers["connect-timeout-ms"] === undefined ? calls.clock.now() + timeoutMs : Infinity;
    // How long the caller waits for the stream says nothing to who reads it.
    headers["connect-timeout-ms"] = undefined;
    this.#headers = headers;
    this.#id = `${method.procedure}:${single(headers, IDEMPOTENCY_KEY) ?? nuid.next()}`;
  }

  start(reply: string): void {
    const lines = requestLines(this.#headers, 0) + headerLine("Nats-Msg-Id", this.#id);
    sendRequest(this.#calls.link, this.subject, bytesOf(this.#request), reply, lines, DEAD_HEAD_BYTES);
    this.reply = reply;
  }

  received(msg: Msg): void {
    if (headOf(msg)?.status === NO_RESPONDERS) {
      const { message, retry } = nobodyServes(this.subject, this.#calls.link.address);
      return this.fail(
        new ServiceError("unavailable", `${message}: there is no stream for it`, { retry: retry ?? {} }),
      );
    }
    const { error, stream, seq, duplicate } = readAnswer(msg, this.subject);
    if (error !== undefined) {
      const { code = 500, description = "" } = error;
      return this.fail(
        new ServiceError(
          FULL.test(description) ? "resource_exhausted" : codeFromHttp(code),
          `${this.subject}: ${description}`,
        ),
      );
    }
    this.#close();
    const headers = newRecord();
    headers["nats-stream"] = stream;
    headers["nats-sequence"] = String(seq);
    if (duplicate === true) headers["nats-duplicate"] = "true";
    this.#caller.head(headers);
    void this.#caller.message(this.#headers["content-type"] === PROTO_TYPE ? new Uint8Array() : "{}");
    this.#caller.end(undefined, newRecord());
  }

  fail(error: ServiceError): void {
    if (this.#over) return;
    this.#close();
    this.#caller.abandon(error);
  }

  abandoned(): void {
    // What was sent cannot be taken back.
    if (!this.#over) this.#close();
  }

  #close(): void {
    this.#over = true;
    this.#calls.forget(this, this.reply);
  }
}
