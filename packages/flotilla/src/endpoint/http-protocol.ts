import type { IncomingMessage, ServerResponse } from "node:http";
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Context } from "../context/context.ts";
import type { Service } from "./service.ts";

/**
 * A further protocol that an HTTP listener speaks on its own port: `http({ port, protocols: [grpc()] })`. Protocols are asked in the
 * order given, before the listener's own.
 */
export interface HttpProtocol {
  /** For errors and logs: `grpc`. */
  readonly name: string;
  /**
   * The scheme by which clients that speak HTTP/2 know addresses where it is spoken, in clear text; with TLS it has an `s`. Default: the
   * listener's own.
   */
  readonly scheme?: string;
  /** Headers of requests and responses that pages of other origins need for it, in lower case. Default none. */
  readonly corsHeaders?: { readonly request: readonly string[]; readonly response: readonly string[] };
  /**
   * Begins to serve; called once a listener.
   *
   * @param services - what is served; names are unique.
   * @param root - the parent of every call's context: its end is the end of every call.
   * @param listener - what the protocol may use of the listener.
   * @throws TypeError when the services cannot be served so.
   */
  mount(services: readonly Service[], root: Context, listener: HttpListenerParts): MountedProtocol;
}

/** What an HTTP listener lends to the protocols it speaks. */
export interface HttpListenerParts {
  /**
   * Adds to the headers of an answer, names and values in turn, what the listener has to say on any: what the page that asks may do
   * with it (CORS), and that the client should come back on another connection.
   */
  mark(headers: string[], req: IncomingMessage): void;
  /** For an answer that is out before its request was read to its end: the rest is thrown away for a moment, then cut off. */
  linger(req: IncomingMessage): void;
}

/** A protocol that is being served. */
export interface MountedProtocol {
  /**
   * Offers a request of HTTP/1.1, or of HTTP/2 through node's compatibility objects.
   *
   * @returns whether it is one of this protocol, which answers it then. Must not throw.
   */
  request?(req: IncomingMessage, res: ServerResponse): boolean;
  /**
   * Offers a stream of HTTP/2 before the compatibility objects are made, which cost more than all else of a small call.
   *
   * @param rawHeaders - names, in lower case, and values in turn, as they came.
   * @returns as `request`. Must not throw.
   */
  stream?(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, rawHeaders: string[]): boolean;
  /**
   * Whether it tells clients itself to send their bodies (`Expect: 100-continue`): what waits for that is offered to it before it is to others.
   * Default: the listener has told them by the time.
   */
  readonly continues?: boolean;
  /**
   * Offers a request for which neither a protocol nor the listener serves anything, before it is answered with 404.
   *
   * @returns as `request`. Must not throw.
   */
  unserved?(req: IncomingMessage, res: ServerResponse): boolean;
  /**
   * Whether it takes the connection over for a request that offers to change the protocol (`Upgrade`, HTTP/1.1), which is given to
   * `upgrade` then. Must not throw. Default: offers are passed over.
   */
  upgrades?(req: IncomingMessage): boolean;
  /**
   * Takes a connection over: answers with 101 on the socket of `req`, having detached `res` from it, or with anything else by `res`.
   *
   * @param head - what came of the other protocol already.
   */
  upgrade?(req: IncomingMessage, res: ServerResponse, head: Buffer): void;
  /**
   * Whether all that comes to a path is its own: then later protocols are not offered a stream of HTTP/2 for it, and it gets the request.
   *
   * @param path - the request target, as it came.
   */
  owns?(path: string): boolean;
  /** Calls that have begun and not ended. */
  readonly inFlight: number;
  /** Asks clients to go elsewhere, where the protocol has words of its own for it: HTTP's are the listener's. */
  discourage?(): void;
  /** Resolves when the calls in flight have ended; no others come by then. Idempotent. */
  drain(): Promise<void>;
  /** Frees what it holds. Called last, once the context of `mount` has ended. Idempotent. */
  close?(): Promise<void>;
}
