import type { Socket } from "node:net";
import { type Channel, type ChannelModel, connect } from "amqplib";
import type { Clock, Timer } from "flotilla/clock";
import { ServiceError } from "flotilla/errors";
import type { BrokerSettings } from "./broker.ts";

const FIRST_PAUSE_MS = 100;
/** A connection that has lasted for so long was a good one: the next pause is a short one again. */
const GOOD_AFTER_MS = 5000;
const CLOSE_TIMEOUT_MS = 2000;

/** Told of what happens to a {@link Link}. */
export interface LinkUser {
  /** There is a connection: open channels and declare what is needed. What it rejects with fails the attempt. */
  opened(connection: ChannelModel): Promise<void>;
  /** The connection `opened` was called with is gone, and all channels with it. Not called when it was closed by `close`. */
  lost(error: Error): void;
  /** There is no other yet, for a reason that was not told before. Not called before there was a first. */
  failed?(error: ServiceError): void;
}

/** A connection to the broker that, once it is wanted, is opened again whenever it is lost, until it is closed. */
export class Link {
  readonly #settings: BrokerSettings;
  readonly #user: LinkUser;
  #connection: ChannelModel | undefined;
  /** What the connection itself says is wrong, which its channels do not know. */
  #fault: Error | undefined;
  #attempt: Promise<void> | undefined;
  /** Ends the attempt. */
  #abort: ((why: Error) => void) | undefined;
  #pause: Timer | undefined;
  /** When the pause ends. */
  #againMs = 0;
  #failures = 0;
  #why: unknown;
  /** The reason that was told last; undefined until a connection was lost. */
  #told: string | undefined;
  /** Whether the last attempt that failed did reach the broker. */
  #reached = false;
  #openedMs = 0;
  #closed = false;
  #stays = true;

  constructor(settings: BrokerSettings, user: LinkUser) {
    this.#settings = settings;
    this.#user = user;
  }

  get address(): string {
    return this.#settings.address;
  }

  get up(): boolean {
    return this.#connection !== undefined;
  }

  /** Whether the process stays for the connection, and for trying to have one again. Default true. */
  set stays(wanted: boolean) {
    // Whoever waits for the end must not be left waiting.
    if (this.#closed || wanted === this.#stays) return;
    this.#stays = wanted;
    if (this.#connection !== undefined) keepAlive(this.#connection, wanted);
    if (!wanted) this.#pause?.unref();
    else if (this.#pause !== undefined) this.#wait(Math.max(0, this.#againMs - this.#settings.clock.now()));
  }

  /**
   * Opens the connection of who has no use without one.
   *
   * @throws Error when it cannot be had, naming who; it is not tried again.
   */
  async begin(who: string): Promise<void> {
    try {
      await this.open();
    } catch (error) {
      await this.close();
      throw new Error(`${who}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** Why there is no connection, if there is none and an attempt has failed. */
  get trouble(): string | undefined {
    return this.#connection === undefined && this.#why !== undefined ? this.#unreachable().message : undefined;
  }

  /**
   * Resolves when there is a connection, on which everything is declared.
   *
   * @throws ServiceError `unavailable` when the attempt under way fails; at once between two attempts.
   */
  open(): Promise<void> {
    if (this.#connection !== undefined) return Promise.resolve();
    if (this.#closed) return Promise.reject(unreachable(`the connection to ${this.address} is closed`, undefined));
    if (this.#pause !== undefined) return Promise.reject(this.#unreachable());
    this.#attempt ??= this.#open();
    return this.#attempt;
  }

  async #open(): Promise<void> {
    const { connect: broker, socket, clock, connectTimeoutMs } = this.#settings;
    let connection: ChannelModel | undefined;
    let late: Timer | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      this.#abort = reject;
      late = clock.schedule(connectTimeoutMs, () => reject(new Error(`not open within ${connectTimeoutMs} ms`)));
    });
    tooLate.catch(() => {});
    try {
      const connecting = connect(broker, socket);
      connection = await Promise.race([connecting, tooLate]).catch((error: unknown) => {
        // One that comes after all is not wanted any more.
        connecting.then((slow) => dispose(slow, clock)).catch(() => {});
        throw error;
      });
      const opened = connection;
      this.#fault = undefined;
      // Without a listener an error would end the process.
      opened.on("error", (error) => {
        this.#fault ??= error;
      });
      const end = ending(opened);
      await Promise.race([this.#user.opened(opened), end.then((error) => Promise.reject(error)), tooLate]);
      if (this.#closed) throw new Error("closed meanwhile");
      this.#connection = opened;
      keepAlive(opened, this.#stays);
      this.#openedMs = clock.now();
      void end.then((error) => this.#lost(opened, error));
    } catch (error) {
      if (connection !== undefined) await dispose(connection, clock);
      this.#why = error;
      this.#reached = connection !== undefined;
      this.#failures++;
      this.#tryAgain();
      const failure = this.#unreachable();
      if (this.#told !== undefined && this.#told !== failure.message && !this.#closed) {
        this.#told = failure.message;
        this.#user.failed?.(failure);
      }
      throw failure;
    } finally {
      late?.cancel();
      this.#abort = undefined;
      this.#attempt = undefined;
    }
  }

  #lost(connection: ChannelModel, told: Error): void {
    destroy(connection);
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    const error = this.#fault ?? told;
    this.#why = error;
    this.#told = "";
    this.#reached = false;
    const lasted = this.#settings.clock.now() - this.#openedMs;
    this.#failures = lasted < GOOD_AFTER_MS ? this.#failures + 1 : 0;
    this.#tryAgain();
    this.#user.lost(error);
  }

  #tryAgain(): void {
    if (this.#closed) return;
    const { maxReconnectMs, clock, random } = this.#settings;
    const pauseMs = random.next() * Math.min(maxReconnectMs, FIRST_PAUSE_MS * 2 ** Math.min(this.#failures, 20));
    this.#againMs = clock.now() + pauseMs;
    this.#wait(pauseMs);
  }

  #wait(pauseMs: number): void {
    this.#pause?.cancel();
    this.#pause = this.#settings.clock.schedule(pauseMs, () => {
      this.#pause = undefined;
      // Whoever waits for it hears of it there; the next pause has begun by then.
      this.open().catch(() => {});
    });
    if (!this.#stays) this.#pause.unref();
  }

  #unreachable(): ServiceError {
    const why = this.#why instanceof Error ? this.#why.message || String(this.#why) : String(this.#why);
    return unreachable(`cannot ${this.#reached ? "use" : "reach"} the broker at ${this.address}: ${why}`, this.#why);
  }

  /** Gives the connection up, and opens another: something on it is not as it should be. */
  fail(error: Error): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#lost(connection, error);
  }

  /**
   * Closes for good. Idempotent.
   *
   * @param channel - what was sent on it reaches the broker first, if anything can.
   */
  async close(channel?: Channel): Promise<void> {
    const { clock } = this.#settings;
    this.stays = true;
    this.#closed = true;
    this.#pause?.cancel();
    this.#pause = undefined;
    const connection = this.#connection;
    this.#connection = undefined;
    if (channel !== undefined) await within(clock, closeChannel(channel));
    if (connection !== undefined) await dispose(connection, clock);
    this.#abort?.(new Error("closed meanwhile"));
    await this.#attempt?.catch(() => {});
  }
}

function unreachable(message: string, cause: unknown): ServiceError {
  return new ServiceError("unavailable", message, { cause, retry: { unprocessed: true } });
}

/** Resolves with what a connection ends with. */
function ending(connection: ChannelModel): Promise<Error> {
  return new Promise((resolve) => {
    connection.once("close", (error) => resolve(error ?? new Error("the connection was closed")));
  });
}

/** Tells what a channel ends with. It may tell twice. */
export function watch(channel: Channel, broken: (error: Error) => void): void {
  channel.on("error", broken);
  channel.once("close", () => broken(new Error("the broker closed the channel")));
}

/** Resolves when it is closed: at the latest with its connection, of which the promise of the client library does not hear. */
function closeChannel(channel: Channel): Promise<void> {
  return new Promise((resolve) => {
    channel.once("close", resolve);
    channel.close().then(resolve, () => resolve());
  });
}

/** Tells whether the broker takes what is published on a connection: it does not while it is short of memory or disk. */
export function watchBlocked(connection: ChannelModel, told: (blocked: boolean) => void): void {
  connection.on("blocked", () => told(true));
  connection.on("unblocked", () => told(false));
}

/**
 * Says whether a connection keeps the process alive. The client library has no word for it: its socket always does, and so do the timers of its
 * heartbeats.
 */
function keepAlive({ connection }: ChannelModel, wanted: boolean): void {
  const { stream, heartbeater } = connection as unknown as Insides;
  heartbeater?.sendTimer.unref();
  heartbeater?.recvTimer.unref();
  if (wanted) stream?.ref();
  else stream?.unref();
}

/** What the client library does not show of a connection. */
interface Insides {
  readonly stream?: Socket;
  readonly heartbeater?: Readonly<Record<"recvTimer" | "sendTimer", NodeJS.Timeout>> | null;
}

/** Closes a connection politely, as long as that does not take too long. Never rejects. */
async function dispose(connection: ChannelModel, clock: Clock): Promise<void> {
  // Whatever is wrong with it: it is gone afterwards.
  await within(
    clock,
    connection.close().catch(() => {}),
  );
  destroy(connection);
}

/**
 * Resolves when the work is done, or has taken too long.
 *
 * @param ms - milliseconds. Default: as long as closing something may take.
 * @throws what the work fails with, in that time.
 */
export async function within(clock: Clock, work: Promise<void>, ms = CLOSE_TIMEOUT_MS): Promise<void> {
  let timer: Timer | undefined;
  const late = new Promise<void>((resolve) => {
    timer = clock.schedule(ms, resolve);
  });
  await Promise.race([work, late]);
  timer?.cancel();
}

/**
 * The client library only ends its half of the socket: a peer that is gone without a word would keep ours for minutes. Nor does it hear of a socket that
 * ends without an error: it would go on sending heartbeats, and leave whoever waits for the broker waiting.
 */
function destroy(connection: ChannelModel): void {
  connection.on("error", () => {});
  (connection.connection as unknown as Insides).stream?.destroy(new Error("the connection was given up"));
}
