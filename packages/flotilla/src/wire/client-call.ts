import { fromConnectError } from "../codec/connect-error.ts";
import type { Context } from "../context/context.ts";
import { afterFunc } from "../context/with.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import type { Outgoing } from "../endpoint/outgoing.ts";
import { unreadableAnswer } from "../endpoint/unreadable-answer.ts";
import { ServiceError } from "../errors/service-error.ts";
import { responseObserver } from "../metadata/call.ts";
import { Metadata, type MetadataRecord } from "../metadata/metadata.ts";
import type { Listed } from "./in-flight.ts";
import { readMessage, type Wire } from "./message.ts";
import { Pipe } from "./pipe.ts";
import type { Accepted, Caller } from "./served-call.ts";

/** What calls are made over. */
export interface CallOwner {
  /** A call is over. */
  ended(call: ClientCall): void;
}

/** One call at the client. */
export abstract class ClientCall implements Caller, Listed {
  older: Listed | undefined = undefined;
  newer: Listed | undefined = undefined;
  listed = false;
  readonly #ctx: Context;
  readonly #method: MethodInfo;
  readonly #maxMessageBytes: number;
  readonly #owner: CallOwner;
  #server: Accepted | undefined;
  #stop: (() => boolean) | undefined;
  #headers: MetadataRecord | undefined;
  #over = false;
  #requests: Outgoing<unknown> | undefined;

  constructor(ctx: Context, method: MethodInfo, maxMessageBytes: number, owner: CallOwner) {
    this.#ctx = ctx;
    this.#method = method;
    this.#maxMessageBytes = maxMessageBytes;
    this.#owner = owner;
  }

  /** The server has accepted; from here on the end of the context is the end of the call. */
  begin(server: Accepted): void {
    this.#server = server;
    this.#stop = afterFunc(this.#ctx, () => this.abandon(this.#ctx.err));
  }

  /** Requests that are let go of when the call is over. */
  sends(requests: Outgoing<unknown>): void {
    this.#requests = requests;
    if (this.#over) requests.leave();
  }

  /** Gives the call up with an error of the client's own; the handler's context is cancelled. */
  abandon(error: unknown): void {
    if (this.#over) return;
    this.#close();
    this.#server!.abandoned();
    this.failed(error);
  }

  head(headers: MetadataRecord): void {
    this.#headers = headers;
  }

  abstract message(wire: Wire): boolean | Promise<boolean>;

  end(error: string | undefined, trailers: MetadataRecord): void {
    if (this.#over) return;
    this.#close();
    this.ended(error, trailers);
  }

  /** The server's word on how the call ended. */
  protected abstract ended(error: string | undefined, trailers: MetadataRecord): void;
  protected abstract failed(error: unknown): void;

  protected read(wire: Wire): unknown {
    try {
      return readMessage(this.#method.output, wire, this.#maxMessageBytes);
    } catch (error) {
      throw unreadableAnswer(this.#method.procedure, error);
    }
  }

  /** Reports what came beside the message. @throws ServiceError the one the call ended with, if any. */
  protected conclude(error: string | undefined, trailers: MetadataRecord): void {
    responseObserver(this.#ctx)?.(new Metadata(this.#headers), new Metadata(trailers));
    if (error === undefined) return;
    const flat: Record<string, string> = {};
    for (const [name, value] of Object.entries(trailers)) flat[name] = [value].flat().join(", ");
    throw fromConnectError(JSON.parse(error), undefined, flat);
  }

  #close(): void {
    this.#over = true;
    this.#stop?.();
    this.#requests?.leave();
    this.#owner.ended(this);
  }
}

/** A call with one response. */
export class SingleCall extends ClientCall {
  readonly response: Promise<unknown>;
  #resolve!: (message: unknown) => void;
  #reject!: (error: unknown) => void;
  #wire: Wire | undefined;

  constructor(ctx: Context, method: MethodInfo, maxMessageBytes: number, owner: CallOwner) {
    super(ctx, method, maxMessageBytes, owner);
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  message(wire: Wire): boolean {
    this.#wire = wire;
    return true;
  }

  protected ended(error: string | undefined, trailers: MetadataRecord): void {
    try {
      this.conclude(error, trailers);
      this.#resolve(this.read(this.#wire!));
    } catch (failure) {
      this.#reject(failure);
    }
  }

  protected failed(error: unknown): void {
    this.#reject(error);
  }
}

/** A call with a stream of responses, which is the call itself. Leaving the stream early cancels the call. */
export class StreamCall extends ClientCall implements AsyncIterableIterator<unknown, undefined> {
  /** Resolves with the first message, or the end; rejects when the call failed before. */
  readonly opened: Promise<void>;
  #open!: () => void;
  #refuse!: (error: unknown) => void;
  readonly #pipe: Pipe<Wire>;
  #begun = false;
  #outcome: { readonly error: string | undefined; readonly trailers: MetadataRecord } | undefined;

  constructor(ctx: Context, method: MethodInfo, maxMessageBytes: number, owner: CallOwner, maxWaitingMessages: number) {
    super(ctx, method, maxMessageBytes, owner);
    this.#pipe = new Pipe(maxWaitingMessages);
    this.opened = new Promise((resolve, reject) => {
      this.#open = resolve;
      this.#refuse = reject;
    });
  }

  message(wire: Wire): boolean | Promise<boolean> {
    this.#begun = true;
    this.#open();
    return this.#pipe.write(wire);
  }

  protected ended(error: string | undefined, trailers: MetadataRecord): void {
    this.#pipe.end();
    if (this.#begun) {
      // Told when the reader comes to the end: what was sent before it counts.
      this.#outcome = { error, trailers };
      return;
    }
    try {
      this.conclude(error, trailers);
      this.#open();
    } catch (failure) {
      this.#refuse(failure);
    }
  }

  protected failed(error: unknown): void {
    this.#refuse(error);
    this.#pipe.fail(error);
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    const result = await this.#pipe.next();
    if (result.done) {
      const outcome = this.#outcome;
      this.#outcome = undefined;
      if (outcome !== undefined) this.conclude(outcome.error, outcome.trailers);
      return result;
    }
    try {
      return { done: false, value: this.read(result.value) };
    } catch (error) {
      this.abandon(error);
      this.#pipe.leave();
      throw error;
    }
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.#outcome = undefined;
    this.#pipe.leave();
    this.abandon(new ServiceError("canceled", "the response was not read to its end"));
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
