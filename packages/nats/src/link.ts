import { connect, type NatsConnection, PermissionViolationError } from "@nats-io/transport-node";
import type { Clock, Random } from "flotilla/clock";
import { ServiceError } from "flotilla/errors";
import type { EncodedHeaders } from "./headers.ts";
import { keepAlive } from "./lifeline.ts";
import type { NatsSettings } from "./options.ts";
import { endWhatCannotBeRead, forgiving } from "./reader.ts";

const FIRST_RECONNECT_MS = 50;
/** A broker that does not answer holds nobody up for longer. */
const FLUSH_TIMEOUT_MS = 1000;
/** So much is sent before the broker is asked whether it has taken it. */
const CONFIRM_EVERY_BYTES = 1024 * 1024;
/** What a message costs beside its payload, about. */
const OVERHEAD_BYTES = 64;

/** A message that waits for the connection to be back. */
interface Kept {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers: EncodedHeaders | undefined;
}

/** Told of what happens to a {@link Link}. */
export interface LinkUser {
  /** The broker was reached for the first time, or after the connection had been given up. Subscribe here. */
  opened(connection: NatsConnection): void;
  /** The broker is gone: what was under way is lost. */
  lost(): void;
  /** It cannot be had back yet, for a reason of our own that was not told before. */
  failed?(error: Error): void;
  /** The client library has given the connection up, and opens no other. */
  ended?(why: Error | undefined): void;
  /** It is back; subscriptions are as they were. */
  restored?(): void;
  /** The broker forbids to send to a subject. */
  forbidden?(subject: string): void;
}

/**
 * One connection to a broker, or to one of a cluster. Opened when it is wanted; once it has been open, it is opened again by itself until
 * it is closed.
 */
export class Link {
  readonly address: string;
  readonly #servers: string[];
  readonly #settings: NatsSettings;
  readonly #user: LinkUser;
  readonly #random: Random;
  #connection: NatsConnection | undefined;
  #up = false;
  #opening: Promise<NatsConnection> | undefined;
  #closed = false;
  /** Why it cannot be had back, as was told since it was lost. */
  #told: string | undefined;
  #stays = true;
  #delayMs: number;
  #sentBytes = 0;
  #takenBytes = 0;
  #confirming = false;
  readonly #relieved: (() => void)[] = [];
  #kept: Kept[] = [];
  #keptBytes = 0;

  constructor(address: string, servers: readonly string[], settings: NatsSettings, user: LinkUser, random: Random) {
    this.address = address;
    this.#servers = [...servers];
    this.#settings = settings;
    this.#user = user;
    this.#random = random;
    this.#delayMs = this.#firstDelayMs;
  }

  get #firstDelayMs(): number {
    return Math.min(FIRST_RECONNECT_MS, this.#settings.maxReconnectMs);
  }

  /** Whether there is a connection now. */
  get up(): boolean {
    return this.#up;
  }

  /** Whether it has been open and is being opened again. */
  get reconnecting(): boolean {
    return this.#connection !== undefined && !this.#up;
  }

  /** Bytes the broker has not said to have taken, in steps of a megabyte. */
  get pendingBytes(): number {
    return this.#sentBytes - this.#takenBytes;
  }

  /** Largest message the broker takes, headers included, bytes. */
  get maxPayload(): number {
    return this.#connection?.info?.max_payload ?? Infinity;
  }

  /** Whether the process stays for this connection, while there is one. Default true. */
  set stays(wanted: boolean) {
    this.#stays = wanted;
    if (this.#up) keepAlive(this.#connection!, wanted);
  }

  /** The connection, opened if need be. @throws Error of the client library when the broker cannot be reached. */
  open(): Promise<NatsConnection> {
    if (this.#connection !== undefined) return Promise.resolve(this.#connection);
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #open(): Promise<NatsConnection> {
    const { broker, connectTimeoutMs, pingIntervalMs } = this.#settings;
    const { authenticator } = broker;
    const connection: NatsConnection = await connect({
      ...broker,
      ...(authenticator !== undefined && {
        authenticator: forgiving(
          authenticator,
          () => this.#connection,
          (error) => this.#failed(error),
        ),
      }),
      servers: this.#servers,
      timeout: connectTimeoutMs,
      pingInterval: pingIntervalMs,
      maxPingOut: 2,
      // What was open is opened again for ever, even where the broker refuses us for a while.
      maxReconnectAttempts: -1,
      ignoreAuthErrorAbort: true,
      reconnectDelayHandler: () => this.#delayMs,
      noAsyncTraces: true,
    });
    if (this.#closed) {
      await connection.close();
      throw new ServiceError("unavailable", `the connection to ${this.address} is closed`);
    }
    this.#connection = connection;
    this.#up = true;
    this.#delayMs = this.#firstDelayMs;
    this.#takenBytes = this.#sentBytes;
    keepAlive(connection, this.#stays);
    void this.#watch(connection);
    endWhatCannotBeRead(connection);
    this.#user.opened(connection);
    return connection;
  }

  async #watch(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === "disconnect") this.#lose();
      else if (status.type === "reconnecting") this.#wait();
      else if (status.type === "reconnect") {
        // Said once for each attempt that was broken off in its hello.
        if (this.#up) continue;
        this.#up = true;
        this.#delayMs = this.#firstDelayMs;
        keepAlive(connection, this.#stays);
        this.#sendKept();
        this.#user.restored?.();
      } else if (status.type === "ping") {
        keepAlive(connection, this.#stays);
      } else if (status.type === "error" && status.error instanceof PermissionViolationError) {
        if (status.error.operation === "publish") this.#user.forbidden?.(status.error.subject);
      }
    }
    // It was closed: by us, or by the library for good.
    if (this.#connection !== connection) return;
    this.#lose();
    this.#connection = undefined;
    this.#user.ended?.((await connection.closed()) ?? undefined);
  }

  #wait(): void {
    const { maxReconnectMs } = this.#settings;
    this.#delayMs = Math.min(maxReconnectMs, this.#delayMs * 2) * (1 - this.#random.next() / 4);
  }

  #failed(error: Error): void {
    if (this.#told === error.message) return;
    this.#told = error.message;
    this.#user.failed?.(error);
  }

  #lose(): void {
    if (!this.#up) return;
    this.#up = false;
    this.#told = undefined;
    this.#taken(this.#sentBytes);
    this.#user.lost();
  }

  /** Sends a message. Nothing happens while there is no connection. @throws Error of the client library. */
  send(subject: string, payload: Uint8Array, reply: string | undefined, headers: EncodedHeaders | undefined): void {
    const connection = this.#connection;
    if (!this.#up || connection === undefined || connection.isClosed()) return;
    const options =
      headers === undefined
        ? reply === undefined
          ? undefined
          : { reply }
        : reply === undefined
          ? { headers: headers.forPublish }
          : { reply, headers: headers.forPublish };
    connection.publish(subject, payload, options);
    this.#sentBytes += payload.length + (headers?.size ?? 0) + OVERHEAD_BYTES;
    if (this.pendingBytes > CONFIRM_EVERY_BYTES && !this.#confirming) void this.#confirm();
  }

  /**
   * Sends what somebody waits for who may have a connection still: an answer, an acknowledgement. Kept until there is a connection again, as
   * long as all that waits is within `maxPendingBytes`; what goes beyond it is lost.
   */
  answer(subject: string, payload: Uint8Array, headers: EncodedHeaders | undefined): void {
    if (!this.reconnecting) return this.send(subject, payload, undefined, headers);
    const bytes = payload.length + (headers?.size ?? 0) + OVERHEAD_BYTES;
    if (this.#keptBytes + bytes > this.#settings.maxPendingBytes) return;
    this.#keptBytes += bytes;
    this.#kept.push({ subject, payload, headers });
  }

  #sendKept(): void {
    const kept = this.#kept;
    this.#kept = [];
    this.#keptBytes = 0;
    for (const { subject, payload, headers } of kept) {
      // Another broker of the cluster may take less.
      if (payload.length + (headers?.size ?? 0) <= this.maxPayload) this.send(subject, payload, undefined, headers);
    }
  }

  async #confirm(): Promise<void> {
    this.#confirming = true;
    try {
      while (this.#up && this.pendingBytes > CONFIRM_EVERY_BYTES) {
        const sent = this.#sentBytes;
        await this.#connection!.flush();
        this.#taken(sent);
      }
    } catch {
      // The connection broke: that is told by its status, and nothing is pending any more.
    } finally {
      this.#confirming = false;
    }
  }

  #taken(bytes: number): void {
    this.#takenBytes = Math.max(this.#takenBytes, bytes);
    if (this.congested) return;
    for (const resolve of this.#relieved.splice(0)) resolve();
  }

  /** Settles when the broker has taken enough of what it left untaken, or is lost. */
  relief(): Promise<void> {
    return new Promise((resolve) => {
      this.#relieved.push(resolve);
    });
  }

  /** Whether the broker leaves too much untaken. */
  get congested(): boolean {
    return this.pendingBytes > this.#settings.maxPendingBytes;
  }

  /** Waits until the broker has taken in what was sent, but not for long; at once when it cannot be reached. */
  async flush(clock: Clock): Promise<void> {
    if (!this.#up) return;
    const flushed = this.#connection!.flush();
    await new Promise<void>((resolve) => {
      const timer = clock.schedule(FLUSH_TIMEOUT_MS, resolve);
      const done = (): void => {
        timer.cancel();
        resolve();
      };
      // It fails when the connection breaks meanwhile: nothing is left to wait for.
      flushed.then(done, done);
    });
  }

  /** Sends what is to be sent, then closes the connection. Idempotent. */
  async close(clock: Clock): Promise<void> {
    this.#closed = true;
    // Whoever waits for this must not be left waiting.
    this.stays = true;
    await this.flush(clock);
    const connection = this.#connection;
    this.#up = false;
    this.#connection = undefined;
    this.#taken(this.#sentBytes);
    this.#kept = [];
    await connection?.close();
  }
}
