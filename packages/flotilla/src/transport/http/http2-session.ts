import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { Clock } from "../../clock/clock.ts";
import { toRecord } from "../../codec/header-record.ts";
import { maxSessionMemory } from "../../codec/session-memory.ts";
import { watchEnd } from "../../codec/whole.ts";
import type { PoolState } from "../../endpoint/transport.ts";
import { ServiceError } from "../../errors/service-error.ts";
import type { MetadataRecord } from "../../metadata/metadata.ts";
import { connectionError } from "./client-errors.ts";
import type { HttpClientSettings } from "./client-options.ts";
import { cutWhenParted } from "./parting.ts";
import { SessionWatch } from "./session-watch.ts";

/**
 * One HTTP/2 connection to an instance, opened when first needed and replaced when it breaks or the server says GOAWAY; calls
 * already on the old one are finished there. It does not keep the process alive while no call is in flight.
 */
export class Http2Peer {
  readonly #address: string;
  readonly #settings: HttpClientSettings;
  readonly #clock: Clock;
  readonly #sessions = new Map<ClientHttp2Session, SessionWatch>();
  readonly #sessionOf = new WeakMap<ClientHttp2Stream, ClientHttp2Session>();
  #current: ClientHttp2Session | undefined;
  #closed = false;

  constructor(address: string, settings: HttpClientSettings, clock: Clock) {
    this.#address = address;
    this.#settings = settings;
    this.#clock = clock;
  }

  /**
   * Opens a stream.
   *
   * @param endStream - whether there is no body. Default: as node:http2 takes it, by the verb.
   * @throws ServiceError `unavailable` when the peer is closed.
   */
  request(verb: string, path: string, headers: readonly string[], endStream?: boolean): ClientHttp2Stream {
    if (this.#closed)
      throw new ServiceError("unavailable", `the connection to ${this.#address} is closed`, {
        retry: { unprocessed: true },
      });
    const record = toRecord(headers);
    record[":method"] = verb;
    record[":path"] = path;
    const session = this.#session();
    const stream = session.request(record, endStream === undefined ? undefined : { endStream });
    watchEnd(stream);
    this.#sessionOf.set(stream, session);
    session.ref();
    const watch = this.#sessions.get(session);
    watch?.opened();
    stream.on("close", () => {
      if (watch?.closed() === true && !session.destroyed) session.unref();
    });
    return stream;
  }

  /** Calls wait for nothing but the connection to open. */
  poolState(): PoolState {
    const state = { open: 0, idle: 0, waiting: 0 };
    for (const [session, { streams }] of this.#sessions) {
      if (session.connecting) state.waiting += streams;
      else state.open++;
      if (!session.connecting && streams === 0) state.idle++;
    }
    return state;
  }

  #session(): ClientHttp2Session {
    if (this.#current !== undefined && !this.#current.closed && !this.#current.destroyed) return this.#current;
    const session = connect(this.#address, {
      ...this.#settings.tls,
      maxSessionMemory,
      settings: { enablePush: false },
    });
    this.#current = session;
    const watch = new SessionWatch(session, this.#clock, this.#settings);
    this.#sessions.set(session, watch);
    const timer = this.#clock.schedule(this.#settings.connectTimeoutMs, () => {
      const message = `connecting took longer than ${this.#settings.connectTimeoutMs} ms`;
      session.destroy(Object.assign(new Error(message), { code: "UND_ERR_CONNECT_TIMEOUT" }));
    });
    session.once("connect", (_session, socket) => {
      timer.cancel();
      socket.once("finish", () => cutWhenParted(socket, this.#clock));
    });
    session.on("goaway", () => this.#retire(session));
    session.on("close", () => {
      timer.cancel();
      watch.stop();
      this.#retire(session);
      this.#sessions.delete(session);
    });
    // Each stream reports the failure to its own call.
    session.on("error", () => this.#retire(session));
    return session;
  }

  /** New calls go to another session; this one ends with its last stream. */
  #retire(session: ClientHttp2Session): void {
    if (this.#current === session) this.#current = undefined;
    if (!session.closed && !session.destroyed) session.close();
  }

  /** Resolves when every stream has ended. */
  async drain(): Promise<void> {
    this.#closed = true;
    await Promise.all(
      [...this.#sessions.keys()].map(
        (session) =>
          new Promise<void>((resolve) => {
            session.once("close", resolve);
            this.#retire(session);
          }),
      ),
    );
  }

  close(): void {
    this.#closed = true;
    for (const session of this.#sessions.keys()) session.destroy();
  }

  /** What a broken stream means to its call. */
  failure(stream: ClientHttp2Stream, error: unknown): ServiceError {
    // A session that ends resets its streams with CANCEL: nobody has cancelled anything. Node 22 does so before it is destroyed.
    const session = this.#sessionOf.get(stream);
    if (session?.destroyed || session?.socket?.destroyed) return connectionError(this.#address, error);
    switch (stream.rstCode) {
      case constants.NGHTTP2_REFUSED_STREAM:
        return new ServiceError("unavailable", `${this.#address} refused the stream`, {
          cause: error,
          retry: { unprocessed: true },
        });
      case constants.NGHTTP2_CANCEL:
        return new ServiceError("canceled", `${this.#address} cancelled the stream`, { cause: error });
      case constants.NGHTTP2_ENHANCE_YOUR_CALM:
        return new ServiceError("resource_exhausted", `${this.#address} asks for fewer calls`, { cause: error });
      default:
        return connectionError(this.#address, error);
    }
  }
}

/** Response headers without the pseudo-header. */
export function plainHeaders(headers: MetadataRecord): MetadataRecord {
  const { ":status": _, ...rest } = headers;
  return rest;
}
