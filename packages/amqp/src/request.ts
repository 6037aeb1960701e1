import type { Channel, ConsumeMessage, Options } from "amqplib";
import { ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import { type Accepted, type Caller, JSON_TYPE, PROTO_TYPE, toConnectError, type Wire } from "flotilla/wire";
import { bytesOf, textProperty } from "./message.ts";
import { ANSWER, TRAILER } from "./names.ts";

/** Where requests come from. */
export interface RequestOwner {
  done(request: Request): void;
}

/** A request in hand: the caller, as `Serving` sees it. It is acknowledged when it has been answered. */
export class Request implements Caller {
  readonly correlationId: string | undefined;
  accepted: Accepted | undefined;
  key: unknown = this;
  readonly #message: ConsumeMessage;
  readonly #channel: Channel;
  readonly #anyReplyQueue: boolean;
  readonly #owner: RequestOwner;
  #headers: MetadataRecord | undefined;
  #wire: Wire | undefined;
  #over = false;

  constructor(message: ConsumeMessage, channel: Channel, anyReplyQueue: boolean, owner: RequestOwner) {
    this.correlationId = textProperty(message.properties.correlationId);
    this.#message = message;
    this.#channel = channel;
    this.#anyReplyQueue = anyReplyQueue;
    this.#owner = owner;
  }

  head(headers: MetadataRecord): void {
    this.#headers = headers;
  }

  message(wire: Wire): boolean {
    this.#wire = wire;
    return true;
  }

  end(error: string | undefined, trailers: MetadataRecord): void {
    const type = error === undefined ? ANSWER.response : ANSWER.error;
    this.#answer(type, error ?? this.#wire ?? "", answerHeaders(this.#headers, trailers));
  }

  abandon(error: ServiceError): void {
    this.fail(error);
  }

  /** Answers with an error. */
  fail(error: ServiceError): void {
    this.#answer(ANSWER.error, JSON.stringify(toConnectError(error)), undefined);
  }

  /** Answers with an error; one that another instance may not have says that no handler was called. */
  refuse(error: ServiceError): void {
    const type = error.code === "unavailable" ? ANSWER.refused : ANSWER.error;
    this.#answer(type, JSON.stringify(toConnectError(error)), undefined);
  }

  /** Nobody waits for an answer: there is none. */
  forget(): void {
    this.#settle();
  }

  /** The caller has given up. */
  giveUp(): void {
    this.accepted?.abandoned();
    this.#settle();
  }

  /** The channel is gone, and with it both the request and the way to answer. */
  lost(): void {
    this.#over = true;
    this.accepted?.abandoned();
  }

  #answer(type: string, body: Wire, headers: MetadataRecord | undefined): void {
    if (this.#over) return;
    sendAnswer(this.#channel, this.#message, type, body, headers, this.#anyReplyQueue);
    this.#settle();
  }

  #settle(): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.done(this);
    try {
      this.#channel.ack(this.#message);
    } catch {
      // The channel is being closed: the broker will give the request to somebody else.
    }
  }
}

/** Answers a request that is not taken in. */
export function refuse(channel: Channel, message: ConsumeMessage, error: ServiceError, anyReplyQueue: boolean): void {
  sendAnswer(channel, message, ANSWER.refused, JSON.stringify(toConnectError(error)), undefined, anyReplyQueue);
}

function answerHeaders(headers: MetadataRecord | undefined, trailers: MetadataRecord): MetadataRecord | undefined {
  const names = Object.keys(trailers);
  if (names.length === 0) return headers;
  const all: MetadataRecord = { ...headers };
  for (const name of names) all[`${TRAILER}${name}`] = trailers[name];
  return all;
}

/** A request that says where nobody may be answered is served all the same: it is one way. */
function sendAnswer(
  channel: Channel,
  { properties }: ConsumeMessage,
  type: string,
  body: Wire,
  headers: MetadataRecord | undefined,
  anyReplyQueue: boolean,
): void {
  const replyTo = textProperty(properties.replyTo);
  if (replyTo === undefined || !(anyReplyQueue || replyTo.startsWith("amq."))) return;
  const options: Options.Publish = {
    type,
    contentType: type === ANSWER.response && typeof body !== "string" ? PROTO_TYPE : JSON_TYPE,
    correlationId: properties.correlationId as string,
    headers,
  };
  try {
    channel.publish("", replyTo, bytesOf(body), options);
  } catch (error) {
    if (!(error instanceof RangeError)) return;
    // Headers that do not fit into a frame.
    const why = new ServiceError("internal", "the headers of the answer are too long");
    channel.publish("", replyTo, Buffer.from(JSON.stringify(toConnectError(why))), {
      ...options,
      type: ANSWER.error,
      contentType: JSON_TYPE,
      headers: undefined,
    });
  }
}
