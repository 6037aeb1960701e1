import { type MetadataRecord, newRecord } from "../../../metadata/metadata.ts";
import type { Wire } from "../../../wire/message.ts";
import type { Accepted, Caller } from "../../../wire/served-call.ts";
import { errorTextOf, failure } from "./errors.ts";

/** What the calls of one request belong to. */
export interface RpcCallOwner {
  /** A call has ended. @param answer - JSON text; undefined for a notification. */
  ended(call: RpcCall, answer: string | undefined, headers: MetadataRecord, trailers: MetadataRecord): void;
  /** A call ends without an answer, and with it all the others. */
  cut(call: RpcCall): void;
}

/** One call of an exchange: turns what it says into an answer. */
export class RpcCall implements Caller {
  readonly index: number;
  /** What can be told that nobody waits any more. */
  accepted: Accepted | undefined = undefined;
  readonly #owner: RpcCallOwner;
  readonly #id: string | undefined;
  #headers: MetadataRecord = newRecord();
  #result = "";

  /** @param id - as JSON text; undefined for a notification. */
  constructor(owner: RpcCallOwner, index: number, id: string | undefined) {
    this.#owner = owner;
    this.index = index;
    this.#id = id;
  }

  head(headers: MetadataRecord): void {
    this.#headers = headers;
  }

  message(wire: Wire): boolean {
    this.#result = wire as string;
    return true;
  }

  end(error: string | undefined, trailers: MetadataRecord): void {
    const id = this.#id;
    let answer: string | undefined;
    if (id !== undefined) {
      answer =
        error === undefined ? `{"jsonrpc":"2.0","result":${this.#result},"id":${id}}` : failure(id, errorTextOf(error));
    }
    this.#owner.ended(this, answer, this.#headers, trailers);
  }

  abandon(): void {
    this.#owner.cut(this);
  }
}
