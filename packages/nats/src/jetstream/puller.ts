import { createInbox, type Msg, type NatsConnection, nanos, type Subscription } from "@nats-io/transport-node";
import type { Clock, Timer } from "flotilla/clock";
import { headOf } from "../incoming.ts";
import type { Link } from "../link.ts";

/** How long a request for messages stands at the broker. */
const EXPIRES_MS = 30_000;
/** So much later its end is taken to have been lost. */
const LATE_MS = 2000;
/** Before asking again a broker that refused. */
const AGAIN_MS = 500;
const REQUEST_TIMEOUT = 408;

/** What a {@link Puller} hands messages to. */
export interface PulledUser {
  /** A message, for which a slot is taken until `release`. Must not throw. */
  pulled(msg: Msg): void;
  /** A message that came when no more were wanted. */
  unwanted(msg: Msg): void;
}

/**
 * Asks a consumer for as many messages as can be handled now, and no more; one request stands at a time. The client library's `consume` asks anew
 * for each message that has come, handled or not.
 */
export class Puller {
  readonly #subject: string;
  readonly #slots: number;
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #user: PulledUser;
  readonly #inbox: string;
  #subscription: Subscription | undefined;
  #taken = 0;
  /** Messages that are still to come of the request that stands; 0 when none does. */
  #asked = 0;
  #request = 0;
  #timer: Timer | undefined;
  #stopped = false;

  /** @param slots - messages that may be in hand at once. */
  constructor(stream: string, durable: string, slots: number, link: Link, clock: Clock, user: PulledUser) {
    this.#subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`;
    this.#slots = slots;
    this.#link = link;
    this.#clock = clock;
    this.#user = user;
    this.#inbox = createInbox();
  }

  start(connection: NatsConnection): void {
    this.#subscription = connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, msg) => {
        if (error === null) this.#received(msg);
      },
    });
    this.#pull();
  }

  /** Asks anew, when what was asked before is lost with its connection. */
  restart(): void {
    this.#end();
    this.#pull();
  }

  /** The connection is lost. */
  pause(): void {
    this.#end();
  }

  /** A message is out of hand. */
  release(): void {
    this.#taken--;
    this.#pull();
  }

  /** Asks for no more. What is on its way already is handed over as unwanted. */
  stop(): void {
    this.#stopped = true;
    this.#end();
    // It fails when the connection does, and then nothing comes any more.
    this.#subscription?.drain().catch(() => {});
  }

  #end(): void {
    this.#asked = 0;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #pull(): void {
    const free = this.#slots - this.#taken;
    if (this.#stopped || !this.#link.up || this.#asked > 0 || this.#timer !== undefined || free <= 0) return;
    this.#asked = free;
    const wanted = JSON.stringify({ batch: free, expires: nanos(EXPIRES_MS) });
    this.#link.send(this.#subject, Buffer.from(wanted), `${this.#inbox}.${++this.#request}`, undefined);
    this.#again(EXPIRES_MS + LATE_MS);
  }

  #again(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.schedule(ms, () => this.restart());
    this.#timer.unref();
  }

  #received(msg: Msg): void {
    if (msg.subject.startsWith(this.#inbox)) return this.#status(msg);
    if (this.#stopped) return this.#user.unwanted(msg);
    this.#taken++;
    if (this.#asked > 0 && --this.#asked === 0) this.#end();
    this.#user.pulled(msg);
    this.#pull();
  }

  /** The broker says how a request ended. */
  #status(msg: Msg): void {
    if (this.#stopped || !msg.subject.endsWith(`.${this.#request}`)) return;
    let status = 0;
    try {
      status = headOf(msg)?.status ?? 0;
    } catch {
      // Not the broker's own words; the request ends by its time.
    }
    // Below 200 it only says that it is still there.
    if (status < 200) return;
    this.#end();
    if (status === REQUEST_TIMEOUT) this.#pull();
    else this.#again(AGAIN_MS);
  }
}
