import type { Context } from "../context/context.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import { Outgoing } from "../endpoint/outgoing.ts";
import type { Connection } from "../endpoint/transport.ts";
import { ServiceError } from "../errors/service-error.ts";
import { type CallOwner, type ClientCall, SingleCall, StreamCall } from "./client-call.ts";
import { InFlight } from "./in-flight.ts";
import { callHeaders, JSON_TYPE, PROTO_TYPE, type Wire, writeMessage } from "./message.ts";
import type { WireSettings } from "./options.ts";
import { Pipe } from "./pipe.ts";
import type { Acceptor } from "./served-call.ts";

/** Where calls to one address go. */
export interface Way {
  /** What takes them in now; undefined when nothing does. */
  acceptor(): Acceptor | undefined;
}

/**
 * Makes calls as messages: what stands between endpoints and a transport's frames. What takes the calls in is asked for at each call, since
 * there need not be anything yet.
 */
export class Calling implements Connection, CallOwner {
  readonly #address: string;
  readonly #settings: WireSettings;
  readonly #way: Way;
  readonly #calls = new InFlight<ClientCall>();
  #closed = false;
  #onIdle: (() => void)[] | undefined;

  constructor(address: string, settings: WireSettings, way: Way) {
    this.#address = address;
    this.#settings = settings;
    this.#way = way;
  }

  endpoint(method: MethodInfo): Endpoint {
    const { maxMessageBytes, maxWaitingMessages, format } = this.#settings;
    const type = format === "proto" && method.input.binary !== undefined ? PROTO_TYPE : JSON_TYPE;
    if (method.kind === "unary" || method.kind === "client_stream") {
      return (ctx, request) => {
        const call = new SingleCall(ctx, method, maxMessageBytes, this);
        try {
          this.#begin(call, ctx, method, request, type);
        } catch (error) {
          return Promise.reject(error);
        }
        return call.response;
      };
    }
    return async (ctx, request) => {
      const call = new StreamCall(ctx, method, maxMessageBytes, this, maxWaitingMessages);
      this.#begin(call, ctx, method, request, type);
      await call.opened;
      return call;
    };
  }

  /** @throws ServiceError when the call cannot begin. */
  #begin(call: ClientCall, ctx: Context, method: MethodInfo, request: unknown, type: string): void {
    const headers = callHeaders(ctx, type);
    const streams = method.kind === "client_stream" || method.kind === "bidi_stream";
    const sent = streams
      ? new Pipe<Wire>(this.#settings.maxWaitingMessages, this.#settings.yields)
      : writeMessage(method.input, request, type);
    call.begin(this.#reach().accept(method, headers, sent, call));
    this.#calls.add(call);
    if (sent instanceof Pipe) void sendAll(call, method, request as AsyncIterable<unknown>, sent, type);
  }

  #reach(): Acceptor {
    const listening = this.#closed ? undefined : this.#way.acceptor();
    if (listening !== undefined) return listening;
    const why = this.#closed ? `the connection to ${this.#address} is closed` : `nothing listens at ${this.#address}`;
    throw new ServiceError("unavailable", why, { retry: { unprocessed: true } });
  }

  ended(call: ClientCall): void {
    this.#calls.delete(call);
    if (this.#onIdle === undefined || !this.#calls.empty) return;
    for (const resolve of this.#onIdle) resolve();
    this.#onIdle = undefined;
  }

  drain(): Promise<void> {
    this.#closed = true;
    if (this.#calls.empty) return Promise.resolve();
    return new Promise((resolve) => {
      (this.#onIdle ??= []).push(resolve);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const call of this.#calls.all()) {
      call.abandon(new ServiceError("unavailable", `the connection to ${this.#address} was closed`));
    }
  }
}

/** Sends the caller's messages, as fast as the handler reads them. Never rejects. */
async function sendAll(
  call: ClientCall,
  method: MethodInfo,
  messages: AsyncIterable<unknown>,
  pipe: Pipe<Wire>,
  type: string,
): Promise<void> {
  const requests = new Outgoing(messages);
  call.sends(requests);
  try {
    for await (const message of requests) {
      // The handler wants no more: leaving the loop ends the caller's generator.
      if (!(await pipe.write(writeMessage(method.input, message, type)))) return;
    }
    // Left by the end of the call, which must not look like theirs.
    if (!requests.left) pipe.end();
  } catch (error) {
    // The caller's own iterator failed: that is the call's error, and the server must hear that the rest will not come.
    call.abandon(error);
  }
}
