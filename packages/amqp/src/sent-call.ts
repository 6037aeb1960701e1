import type { Message } from "amqplib";
import type { MethodInfo } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { type Accepted, type Caller, fromConnectError, newRecord } from "flotilla/wire";
import { readBody, readHeaders, typeOf } from "./message.ts";
import { ANSWER, TRAILER } from "./names.ts";

/** What calls are made over. */
export interface SentCallOwner {
  done(call: SentCall): void;
  gaveUp(call: SentCall): void;
}

/** A call on its way, at the client. */
export class SentCall implements Accepted {
  readonly id: string;
  readonly method: MethodInfo;
  /** Whether it has left: from then on it may have been made. */
  sent = false;
  readonly #caller: Caller;
  readonly #maxBytes: number;
  readonly #owner: SentCallOwner;
  #over = false;

  constructor(id: string, method: MethodInfo, caller: Caller, maxBytes: number, owner: SentCallOwner) {
    this.id = id;
    this.method = method;
    this.#caller = caller;
    this.#maxBytes = maxBytes;
    this.#owner = owner;
  }

  /** The caller has given up. */
  abandoned(): void {
    if (this.#over) return;
    this.#end();
    if (this.sent) this.#owner.gaveUp(this);
  }

  /** It ends without an answer. */
  fail(error: ServiceError): void {
    if (this.#over) return;
    this.#end();
    this.#caller.abandon(error);
  }

  answered(message: Message): void {
    if (this.#over) return;
    try {
      this.#read(message);
    } catch (error) {
      const why = ServiceError.from(error);
      const code = why.code === "resource_exhausted" ? why.code : "internal";
      this.fail(new ServiceError(code, `the answer to ${this.method.procedure} cannot be read: ${why.message}`));
    }
  }

  /** @throws ServiceError when it cannot be read. */
  #read({ content, properties }: Message): void {
    const type = typeOf(properties);
    const wire = readBody(content, type, this.#maxBytes);
    const headers = newRecord();
    const trailers = newRecord();
    const all = readHeaders(properties.headers);
    for (const name of Object.keys(all)) {
      if (name.startsWith(TRAILER)) trailers[name.slice(TRAILER.length)] = all[name];
      else headers[name] = all[name];
    }
    switch (properties.type as unknown) {
      case ANSWER.error: {
        const text = wire.toString();
        parse(text);
        this.#end();
        this.#caller.head(headers);
        return this.#caller.end(text, trailers);
      }
      case ANSWER.refused: {
        const { code, message, details, retry } = fromConnectError(parse(wire.toString()), undefined);
        return this.fail(new ServiceError(code, message, { details, retry: { ...retry, unprocessed: true } }));
      }
      default:
        this.#end();
        this.#caller.head(headers);
        void this.#caller.message(wire);
        this.#caller.end(undefined, trailers);
    }
  }

  #end(): void {
    this.#over = true;
    this.#owner.done(this);
  }
}

/** @throws ServiceError when it is no JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ServiceError("internal", "the error it holds is no JSON", { cause: error });
  }
}
