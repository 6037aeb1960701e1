import { createInbox, type Msg, type NatsConnection, nanos, type Subscription } from "@nats-io/transport-node";
import type { Clock, Timer } from "flotilla/clock";
import { type Head, NO_RESPONDERS } from "../headers.ts";
import { headOf } from "../incoming.ts";
import type { Link } from "../link.ts";
import type { JetStreamSettings } from "./options.ts";

/** How long a request for messages stands at the broker. */
const EXPIRES_MS = 30_000;
/** So much later its end is taken to have been lost. */
const LATE_MS = 2000;
/** Before asking again a broker that refused. */
const AGAIN_MS = 500;
const REQUEST_TIMEOUT = 408;
const GONE = /consumer (deleted|not found)/i;

/** What a {@link Puller} hands messages to. */
export interface PulledUser {
  /** A message, for which a slot is taken until `release`. Must not throw. */
  pulled(msg: Msg): void;
  /** A message that came when no more were wanted. */
  unwanted(msg: Msg): void;
  /** There is no such consumer. Nothing is asked for until `resume`. */
  gone(): void;
  /** The broker lets nothing be heard. */
  deaf(error: Error): void;
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
  #paused = false;
  #stopped = false;

  constructor(settings: JetStreamSettings, durable: string, link: Link, clock: Clock, user: PulledUser) {
    this.#subject = `$JS.API.CONSUMER.MSG.NEXT.${settings.stream}.${durable}`;
    this.#slots = settings.maxConcurrentCalls;
    this.#link = link;
    this.#clock = clock;
    this.#user = user;
    this.#inbox = createInbox(settings.broker.inboxPrefix);
  }

  start(connection: NatsConnection): void {
    this.#subscription = connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, msg) => {
        if (error === null) this.#received(msg);
        else this.#user.deaf(error);
      },
    });
    this.#pull();
  }

  /** Asks anew, after a pause. */
  resume(): void {
    this.#paused = false;
    this.#pull();
  }

  /** What was asked is lost; nothing is asked for now. */
  pause(): void {
    this.#paused = true;
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
    if (this.#stopped || this.#paused || !this.#link.up || this.#asked > 0 || this.#timer !== undefined || free <= 0)
      return;
    this.#asked = free;
    const wanted = JSON.stringify({ batch: free, expires: nanos(EXPIRES_MS) });
    this.#link.send(this.#subject, Buffer.from(wanted), `${this.#inbox}.${++this.#request}`, undefined);
    // Nobody has answered.
    this.#wait(EXPIRES_MS + LATE_MS, () => this.#gone());
  }

  #again(): void {
    this.#end();
    this.#pull();
  }

  #gone(): void {
    this.pause();
    this.#user.gone();
  }

  #wait(ms: number, then: () => void): void {
    this.#timer = this.#clock.schedule(ms, then);
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
    let head: Head | undefined;
    try {
      head = headOf(msg);
    } catch {
      // Not the broker's own words; the request ends by its time.
    }
    // Below 200 it only says that it is still there.
    if (head === undefined || head.status < 200) return;
    this.#end();
    if (head.status === REQUEST_TIMEOUT) this.#pull();
    else if (head.status === NO_RESPONDERS || GONE.test(head.words)) this.#gone();
    else this.#wait(AGAIN_MS, () => this.#again());
  }
}
