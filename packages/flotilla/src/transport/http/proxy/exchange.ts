import type { Duplex } from "node:stream";
import type { Context } from "../../../context/context.ts";
import type { ServiceError } from "../../../errors/service-error.ts";

/** A request on its way through, the same for all its attempts. */
export interface ForwardedRequest {
  readonly verb: string;
  /** Path and query, as they go upstream. */
  readonly target: string;
  /** What the upstream is to take for its own name; undefined for the name it is reached under. */
  readonly authority: string | undefined;
  readonly contentType: string | undefined;
  readonly hasBody: boolean;
  /** The protocol that the connection is to change to; undefined for a request that is one. */
  readonly upgrade: string | undefined;
  /** Whether so much of the body was read that it cannot be sent again: then no other attempt can be made. */
  readonly committed: boolean;
  /** Whether some of the body was sent: another attempt is made only where the upstream has said that it did not take the request in. */
  readonly sent: boolean;
  /** How the attempts so far have failed, and over which connections; undefined before the first has. */
  tried: Map<object, ServiceError> | undefined;
  /** What the request lasts for: it may outlast its deadline, which is that of the attempt's context. */
  readonly lasting: Context;
  /** Ends the attempt that is under way, with this; undefined while there is none. */
  stop: ((error: ServiceError) => void) | undefined;
  /** Names and values in turn, ready to be sent. `ctx` is the attempt's: it holds the trace and the time left. */
  fields(ctx: Context): string[];
  /** The body from its beginning, at the pace at which it is asked for. Called by each attempt that can send it; those before it get no more. */
  body(): AsyncIterable<Uint8Array>;
  /** Hears of an interim answer. */
  interim(status: number, raw: readonly string[]): void;
}

/** How an answer begins: the first part of its stream. */
export class AnswerHead {
  readonly status: number;
  /** Names and values in turn, as they came. */
  readonly raw: readonly string[];
  /** Known to be all there is. */
  readonly last: boolean;

  constructor(status: number, raw: readonly string[], last: boolean) {
    this.status = status;
    this.raw = raw;
    this.last = last;
  }
}

/** That the connection has changed its protocol: follows a head of status 101, and what comes after it is over when the connection is. */
export class Switched {
  readonly socket: Duplex;

  constructor(socket: Duplex) {
    this.socket = socket;
  }
}

/** That an answer is complete: the last part of its stream. */
export class AnswerEnd {
  /** Names and values in turn. */
  readonly trailers: readonly string[];

  constructor(trailers: readonly string[]) {
    this.trailers = trailers;
  }
}

/** A head, then chunks of the body, then the end. What throws before that is an answer that broke off; after it, an answer that tells of a failure. */
export type AnswerPart = AnswerHead | Switched | Uint8Array | AnswerEnd;

/** The cause of an error that an upstream answered with, whole: for the client, if no other attempt is made. */
export class HeldAnswer {
  readonly parts: readonly AnswerPart[];

  constructor(parts: readonly AnswerPart[]) {
    this.parts = parts;
  }
}

/** An answer whose body is still coming, as one version of HTTP has it. Leaving the body early gives up the exchange. */
export interface OpenAnswer {
  readonly head: AnswerHead;
  readonly body: AsyncIterable<Uint8Array>;
  /** The connection, when it has changed its protocol. */
  readonly socket?: Duplex | undefined;
  /** Known when the body has been read. */
  trailers(): readonly string[];
}

/** Sends a request; resolves when the head of the final answer is there. */
export type OpenExchange = (ctx: Context, request: ForwardedRequest) => Promise<OpenAnswer>;
