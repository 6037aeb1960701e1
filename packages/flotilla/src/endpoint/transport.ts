import type { Context } from "../context/context.ts";
import type { Endpoint } from "./endpoint.ts";
import type { MethodInfo } from "./method-info.ts";
import type { Service } from "./service.ts";

/** The server side of a transport, before it is started. `http({ port })` makes one. */
export interface Listener {
  /** Name of the protocol for logs and the registry: `http`, `grpc`, `memory`. */
  readonly protocol: string;
  /**
   * Starts serving.
   *
   * @param services - what to serve; names are unique.
   * @param root - the parent of every call's context: its clock is the listener's, its end is the end of every call.
   * @throws Error when the address cannot be bound, saying which and why.
   */
  listen(services: readonly Service[], root: Context): Promise<Listening>;
}

/** A listener that is serving. The host ends it in this order: `refuse`, `drain`, `close`. */
export interface Listening {
  readonly protocol: string;
  /** Where clients reach it: `http://127.0.0.1:8080`. */
  readonly address: string;
  /**
   * Further addresses of the same port, for protocols that clients know by a scheme of their own: `grpc://127.0.0.1:8080`. A host registers
   * them beside `address`. Default none.
   */
  readonly alsoAt?: readonly string[];
  /** Whether clients call it at its address; false for what only takes messages from a queue, which a host registers nowhere. Default true. */
  readonly discoverable?: boolean;
  /** Calls that have begun and not ended. */
  readonly inFlight: number;
  /** Connections that are open; left out where there are none. */
  readonly connections?: number;
  /** Asks clients to go elsewhere, as far as that costs no call (`Connection: close`, health), while still serving whatever comes. */
  discourage(): void;
  /** Stops accepting, at once or within a moment, and resolves when the calls in flight have ended. Idempotent. */
  drain(): Promise<void>;
  /** Cancels what still runs, with the cause given, and frees the address. Idempotent. */
  close(cause?: unknown): Promise<void>;
}

/** The client side of a transport: opens the one connection (or pool) that all calls to an instance share. */
export interface Connector {
  /** The scheme of the addresses it reaches, and that with an `s`: `http`, `memory`. */
  readonly protocol: string;
  /** How calls are written on the wire, in the words of `ServerCall.protocol`: `connect`. For telemetry. Default: as `protocol`. */
  readonly callProtocol?: string;
  /** @param address - an address of this protocol, as found in an instance: `http://127.0.0.1:8080`. */
  connect(address: string): Connection;
}

/** A pool of connections at one moment. */
export interface PoolState {
  /** Connections that are open. */
  readonly open: number;
  /** Of them, those without a call. */
  readonly idle: number;
  /** Calls that wait for one. */
  readonly waiting: number;
}

/** A connection, or pool of them, to one instance. Opens lazily; reconnects by itself. */
export interface Connection {
  /** The endpoint that calls a method over this connection. Asked once a method; the caller keeps it. */
  endpoint(method: MethodInfo): Endpoint;
  /**
   * Whether the other side has said with its last answer that it is about to go, so that others should be called; what is called all the same may
   * be lost. Left out where the protocol tells in time what was not taken in.
   */
  readonly going?: boolean;
  /** Left out where there is nothing to open. Asked when metrics are collected. */
  poolState?(): PoolState;
  /** Lets calls in flight finish, then closes. */
  drain(): Promise<void>;
  /** Closes now; calls in flight fail with `unavailable`. */
  close(): Promise<void>;
}
