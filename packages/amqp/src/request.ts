import { type Channel, type ConsumeMessage, IllegalOperationError, type Options } from "amqplib";
import { ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import { type Accepted, type Caller, JSON_TYPE, PROTO_TYPE, toConnectError, type Wire } from "flotilla/wire";
import { textProperty, unsendable, writeBody } from "./message.ts";
import { ANSWER, TRAILER } from "./names.ts";

/** Where requests come from. */
export interface RequestOwner {
  readonly maxMessageBytes: number;
  readonly anyReplyQueue: boolean;
  done(request: Request): void;
}

/** A request in hand: the caller, as `Serving` sees it. It is acknowledged when it has been answered. */
export class Request implements Caller {
  readonly correlationId: string | undefined;
  accepted: Accepted | undefined;
  key: unknown = this;
  readonly #message: ConsumeMessage;
  readonly #channel: Channel;
  readonly #owner: RequestOwner;
  #headers: MetadataRecord | undefined;
  #wire: Wire | undefined;
  #over = false;

  constructor(message: ConsumeMessage, channel: Channel, owner: RequestOwner) {
    this.correlationId = textProperty(message.properties.correlationId);
    this.#message = message;
    this.#channel = channel;
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
    const headers = answerHeaders(this.#headers, trailers);
    if (error !== undefined) return this.#answer(ANSWER.error, Buffer.from(error), JSON_TYPE, headers);
    const wire = this.#wire ?? "";
    try {
      const body = writeBody(wire, this.#owner.maxMessageBytes);
      this.#answer(ANSWER.response, body, typeof wire === "string" ? JSON_TYPE : PROTO_TYPE, headers);
    } catch (failure) {
      this.fail(ServiceError.from(failure));
    }
  }

  abandon(error: ServiceError): void {
    this.fail(error);
  }

  /** Answers with an error. */
  fail(error: ServiceError): void {
    this.#answer(ANSWER.error, jsonOf(error), JSON_TYPE, undefined);
  }

  /** Answers with an error; one that another instance may not have says that no handler was called. */
  refuse(error: ServiceError): void {
    const type = error.code === "unavailable" ? ANSWER.refused : ANSWER.error;
    this.#answer(type, jsonOf(error), JSON_TYPE, undefined);
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

  #answer(type: string, body: Buffer, contentType: string, headers: MetadataRecord | undefined): void {
    if (this.#over) return;
    sendAnswer(this.#channel, this.#message, { type, contentType, headers }, body, this.#owner.anyReplyQueue);
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
  sendAnswer(channel, message, { type: ANSWER.refused, contentType: JSON_TYPE }, jsonOf(error), anyReplyQueue);
}

/**
 * Leaves a request that was not taken in to whoever is next. It is published anew: of what is given back the broker says that it was delivered before, and the next
 * instance would have to take it for a call that an instance was lost with.
 */
export function passOn(channel: Channel, message: ConsumeMessage, service: string): void {
  const { properties, fields, content } = message;
  try {
    if (fields.redelivered) return channel.nack(message);
    // Checked by the broker against who we are: whoever asked is somebody else.
    channel.publish("", service, content, { ...properties, userId: undefined as never });
    channel.ack(message);
  } catch {
    // The channel is being closed, and the request is the broker's again; so it is when it cannot be written once more.
  }
}

function answerHeaders(headers: MetadataRecord | undefined, trailers: MetadataRecord): MetadataRecord | undefined {
  const names = Object.keys(trailers);
  if (names.length === 0) return headers;
  const all: MetadataRecord = { ...headers };
  for (const name of names) all[`${TRAILER}${name}`] = trailers[name];
  return all;
}

function jsonOf(error: ServiceError): Buffer {
  return Buffer.from(JSON.stringify(toConnectError(error)));
}

/** A request that says where nobody may be answered is served all the same: it is one way. */
function sendAnswer(
  channel: Channel,
  { properties }: ConsumeMessage,
  answer: Options.Publish,
  body: Buffer,
  anyReplyQueue: boolean,
): void {
  const replyTo = textProperty(properties.replyTo);
  if (replyTo === undefined || !(anyReplyQueue || replyTo.startsWith("amq."))) return;
  const correlationId = properties.correlationId as string;
  try {
    channel.publish("", replyTo, body, { ...answer, correlationId });
  } catch (error) {
    if (error instanceof IllegalOperationError) return;
    const options = { type: ANSWER.error, contentType: JSON_TYPE, correlationId };
    channel.publish("", replyTo, jsonOf(unsendable(error)), options);
  }
}
