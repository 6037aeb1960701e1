import { type ClientHttp2Session, connect } from "node:http2";
import type { Clock, Timer } from "../../clock/clock.ts";
import { maxSessionMemory } from "../../codec/session-memory.ts";
import type { PoolState } from "../../endpoint/transport.ts";
import { ServiceError } from "../../errors/service-error.ts";
import type { GrpcClientSettings } from "./client-options.ts";
import { keepalive } from "./keepalive.ts";

/** What may be under way to one reader, or on one connection, bytes. */
const STREAM_WINDOW = 256 * 1024;
const CONNECTION_WINDOW = 1024 * 1024;

/** A connection and the calls on it. */
export class Held {
  readonly session: ClientHttp2Session;
  calls = 0;
  /** As many calls as the server allows. */
  max = Infinity;
  /** What it ended with; undefined while it lives. */
  broken: unknown;
  readonly #onIdle: () => void;

  constructor(session: ClientHttp2Session, onIdle: () => void) {
    this.session = session;
    this.#onIdle = onIdle;
  }

  begin(): void {
    if (this.calls++ === 0) this.session.ref();
  }

  end(): void {
    if (--this.calls > 0) return;
    if (!this.session.destroyed) this.session.unref();
    this.#onIdle();
  }

  /** Whether the connection is gone: its streams hear of that before the session itself does. */
  get gone(): boolean {
    const { session } = this;
    return this.broken !== undefined || session.destroyed || session.socket?.destroyed;
  }

  get usable(): boolean {
    return !this.session.closed && !this.session.destroyed;
  }
}

/**
 * The connections to one instance: opened when first needed, replaced when they break or the server says GOAWAY; calls already on an
 * old one are finished there. They do not keep the process alive while no call is in flight.
 */
export class GrpcPeer {
  readonly address: string;
  readonly settings: GrpcClientSettings;
  readonly #clock: Clock;
  readonly #sessions = new Set<Held>();
  #current: Held | undefined;
  #calls = 0;
  #closed = false;

  /** @param address - an origin: `http://127.0.0.1:9090`. */
  constructor(address: string, settings: GrpcClientSettings, clock: Clock) {
    this.address = address;
    this.settings = settings;
    this.#clock = clock;
  }

  /**
   * A connection for one call more, which must end it.
   *
   * @throws ServiceError `unavailable` when the peer is closed, `resource_exhausted` over the limit of calls.
   */
  take(): Held {
    if (this.#closed) {
      const message = `the connection to ${this.address} is closed`;
      throw new ServiceError("unavailable", message, { retry: { unprocessed: true } });
    }
    const { maxConcurrentRequests } = this.settings;
    if (this.#calls >= maxConcurrentRequests) {
      const message = `${maxConcurrentRequests} calls to ${this.address} are in flight: maxConcurrentRequests allows no more`;
      throw new ServiceError("resource_exhausted", message, { retry: { unprocessed: true } });
    }
    let held = this.#current;
    if (held === undefined || !held.usable || held.calls >= held.max) held = this.#current = this.#choose();
    this.#calls++;
    held.begin();
    return held;
  }

  give(held: Held): void {
    this.#calls--;
    held.end();
  }

  /** The usable connection with the fewest calls; a new one where all are full and there may be more. */
  #choose(): Held {
    let least: Held | undefined;
    let count = 0;
    for (const held of this.#sessions) {
      if (!held.usable) continue;
      count++;
      if (least === undefined || held.calls < least.calls) least = held;
    }
    if (least !== undefined && (least.calls < least.max || count >= this.settings.maxConnections)) return least;
    return this.#open();
  }

  #open(): Held {
    const { connectTimeoutMs, idleTimeoutMs, tls, maxHeaderBytes } = this.settings;
    const session = connect(this.address, {
      ...tls,
      maxSessionMemory,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW, maxHeaderListSize: maxHeaderBytes },
    });
    const idle = (): void => {
      timer?.cancel();
      timer = this.#clock.schedule(idleTimeoutMs, () => {
        if (held.calls === 0) session.close();
      });
      timer.unref();
    };
    const held = new Held(session, idle);
    this.#sessions.add(held);
    let timer: Timer | undefined = this.#clock.schedule(connectTimeoutMs, () => {
      const message = `connecting took longer than ${connectTimeoutMs} ms`;
      session.destroy(Object.assign(new Error(message), { code: "ERR_FLOTILLA_CONNECT_TIMEOUT" }));
    });
    session.once("connect", () => {
      // It may have been closed since: node says so a moment later.
      if (session.destroyed) return;
      timer?.cancel();
      session.setLocalWindowSize(CONNECTION_WINDOW);
      keepalive(session, this.settings.keepalive, this.#clock, () => held.calls > 0);
    });
    session.on("remoteSettings", (settings) => {
      held.max = settings.maxConcurrentStreams ?? Infinity;
    });
    // Calls that the server says it will not take in are reset as refused by node; the others are finished.
    session.on("goaway", () => {
      if (!session.destroyed) session.close();
    });
    session.on("error", (error) => {
      held.broken = error;
    });
    session.on("close", () => {
      timer?.cancel();
      held.broken ??= new Error("the connection was closed");
      this.#sessions.delete(held);
      if (this.#current === held) this.#current = undefined;
    });
    return held;
  }

  poolState(): PoolState {
    const state = { open: 0, idle: 0, waiting: 0 };
    for (const { session, calls, max } of this.#sessions) {
      if (session.connecting) state.waiting += calls;
      else state.open++;
      if (!session.connecting && calls === 0) state.idle++;
      if (calls > max) state.waiting += calls - max;
    }
    return state;
  }

  /** Resolves when every call has ended. */
  async drain(): Promise<void> {
    this.#closed = true;
    const closing = Array.from(this.#sessions, ({ session }) => {
      return new Promise<void>((resolve) => {
        session.once("close", resolve);
        if (!session.closed) session.close();
      });
    });
    await Promise.all(closing);
  }

  close(): void {
    this.#closed = true;
    for (const held of this.#sessions) {
      held.broken ??= new ServiceError("unavailable", `the connection to ${this.address} was closed`);
      held.session.destroy();
    }
  }
}
