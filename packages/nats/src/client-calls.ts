import { createInbox, type Msg, type NatsConnection } from "@nats-io/transport-node";
import type { Clock, Random, Timer } from "flotilla/clock";
import type { MethodInfo } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import type { Accepted, Acceptor, Caller, Pipe, Way, Wire } from "flotilla/wire";
import { type ClientEntry, type ClientSide, sendCancel } from "./client-entry.ts";
import type { ClientSettings } from "./client-options.ts";
import { ClientStream } from "./client-stream.ts";
import { ClientUnary } from "./client-unary.ts";
import { Link, type LinkUser } from "./link.ts";

const SWEEP_MS = 1000;

/** The calls over one connection: each has a subject of its own for answers, below an inbox that they share. */
export class ClientCalls implements Way, Acceptor, LinkUser, ClientSide {
  readonly settings: ClientSettings;
  readonly clock: Clock;
  readonly link: Link;
  readonly #inbox: string;
  readonly #entries = new Map<string, ClientEntry>();
  /** Calls that wait for the first connection, and since when. */
  #waiting = new Map<ClientEntry, number>();
  #next = 0;
  #closed = false;
  #sweep: Timer | undefined;
  /** Calls that ended with the connection. */
  readonly #lost: Pick<ClientEntry, "cancelSubject" | "reply">[] = [];
  /** Why no answer can be heard, if so: the library has dropped the subscription for good. */
  #deaf: string | undefined;

  constructor(address: string, servers: readonly string[], settings: ClientSettings, clock: Clock, random: Random) {
    this.settings = settings;
    this.clock = clock;
    this.link = new Link(address, servers, settings, this, random);
    this.#inbox = `${createInbox(settings.broker.inboxPrefix)}.`;
    this.link.stays = false;
  }

  /** Calls that were sent and have not ended. */
  get inFlight(): number {
    return this.#entries.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  acceptor(): Acceptor {
    return this;
  }

  accept(method: MethodInfo, headers: MetadataRecord, request: Wire | Pipe<Wire>, caller: Caller): Accepted {
    const entry =
      method.kind === "unary"
        ? new ClientUnary(this, method, headers, request as Wire, caller)
        : new ClientStream(this, method, headers, request, caller);
    this.begin(entry);
    return entry;
  }

  /** Begins a call: at once, or when the first connection is there. @throws ServiceError when it cannot. */
  begin(entry: ClientEntry): void {
    const { link, settings } = this;
    if (this.#entries.size + this.#waiting.size >= settings.wire.maxConcurrentCalls) {
      throw this.#refused(`${settings.wire.maxConcurrentCalls} calls are in flight already`);
    }
    if (this.#deaf !== undefined) throw this.#denied(this.#deaf);
    if (link.up) {
      if (link.congested) throw this.#refused(`the broker has yet to take ${link.pendingBytes} bytes`);
      this.#start(entry, 0);
      return;
    }
    if (link.reconnecting) throw this.#refused("the connection to the broker is lost");
    this.#waiting.set(entry, this.clock.now());
    link.open().catch((error: unknown) => this.#unreachable(error));
  }

  #refused(why: string): ServiceError {
    return new ServiceError("unavailable", `${this.link.address}: ${why}`, { retry: { unprocessed: true } });
  }

  #start(entry: ClientEntry, waitedMs: number): void {
    const token = (this.#next++).toString(36);
    this.#entries.set(token, entry);
    if (this.#entries.size === 1) this.link.stays = true;
    try {
      entry.start(this.#inbox + token, waitedMs);
    } catch (error) {
      this.#delete(token);
      throw error;
    }
    if (this.#sweep === undefined && entry.giveUpAtMs !== Infinity) this.#scheduleSweep();
  }

  /** Forgets a call that is over. */
  forget(entry: ClientEntry, reply: string | undefined): void {
    if (reply === undefined) this.#waiting.delete(entry);
    else this.#delete(reply.slice(this.#inbox.length));
  }

  /** Without calls, the process need not stay. */
  #delete(token: string): void {
    if (this.#entries.delete(token) && this.#entries.size === 0 && !this.#closed) this.link.stays = false;
  }

  opened(connection: NatsConnection): void {
    connection.subscribe(`${this.#inbox}*`, { callback: (error, msg) => this.#received(error, msg) });
    const waiting = this.#waiting;
    this.#waiting = new Map();
    const nowMs = this.clock.now();
    for (const [entry, sinceMs] of waiting) {
      try {
        this.#start(entry, nowMs - sinceMs);
      } catch (error) {
        entry.fail(ServiceError.from(error));
      }
    }
  }

  #unreachable(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    const waiting = this.#waiting;
    this.#waiting = new Map();
    for (const entry of waiting.keys()) entry.fail(this.#refused(`the broker cannot be reached: ${why}`));
  }

  lost(): void {
    const error = `${this.link.address}: the connection to the broker was lost`;
    for (const entry of this.#entries.values()) {
      if (entry.answered) continue;
      // No more than may be in flight; what was lost before has run out of time, or will.
      this.#lost.push({ cancelSubject: entry.cancelSubject, reply: entry.reply });
      entry.fail(new ServiceError("unavailable", error));
    }
    this.#lost.splice(0, Math.max(0, this.#lost.length - this.settings.wire.maxConcurrentCalls));
  }

  /** The handlers of what was lost work for nobody. */
  restored(): void {
    for (const lost of this.#lost.splice(0)) sendCancel(this.link, lost);
  }

  /** @param subject - what nothing may be sent to. */
  forbidden(subject: string): void {
    for (const entry of this.#entries.values()) {
      if (entry.subject === subject) entry.fail(this.#denied(`nothing may be sent to ${subject}`));
    }
  }

  #denied(what: string): ServiceError {
    return new ServiceError("permission_denied", `${this.link.address}: ${what}`);
  }

  #received(error: Error | null, msg: Msg): void {
    if (error !== null) {
      this.#deaf = `answers may not be heard: ${error.message}`;
      for (const entry of this.#entries.values()) entry.fail(this.#denied(this.#deaf));
      return;
    }
    const entry = this.#entries.get(msg.subject.slice(this.#inbox.length));
    // Of a call that is over.
    if (entry === undefined) return;
    try {
      entry.received(msg);
    } catch (thrown) {
      // What a peer sends must not end the reading of all other answers.
      entry.fail(ServiceError.from(thrown));
    }
  }

  /** Gives up the calls that nobody will answer any more. */
  #scheduleSweep(): void {
    this.#sweep = this.clock.schedule(SWEEP_MS, () => {
      this.#sweep = undefined;
      const nowMs = this.clock.now();
      let watched = false;
      for (const entry of this.#entries.values()) {
        if (entry.giveUpAtMs === Infinity) continue;
        if (entry.giveUpAtMs > nowMs) watched = true;
        else entry.fail(new ServiceError("unavailable", `${entry.subject}: no answer came: who took the call is gone`));
      }
      if (watched) this.#scheduleSweep();
    });
    this.#sweep.unref();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#sweep?.cancel();
    this.#unreachable(new Error("the connection was closed"));
    await this.link.close(this.clock);
  }
}
