import type { Msg } from "@nats-io/nats-core";
import { ServiceError } from "flotilla/errors";
import { type Caller, fromConnectError } from "flotilla/wire";
import type { Link } from "../link.ts";

/** Codes that another delivery would end with as well. */
const PERMANENT: ReadonlySet<string> = new Set(["invalid_argument", "unimplemented", "out_of_range"]);

const ACK = Buffer.from("+ACK");
const NAK = Buffer.from("-NAK");
const WORKING = Buffer.from("+WPI");
const TERM = Buffer.from("+TERM");

/** Where a message stands, as the subject says on which it is acknowledged. */
export interface Place {
  /** How often it has been delivered, this time included. */
  readonly deliveries: number;
  readonly sequence: number;
}

/** Reads the subject of acknowledgements; undefined when it is none. Two forms: with the account's hash and domain, and without. */
export function placeOf(reply: string | undefined): Place | undefined {
  const tokens = (reply ?? "").split(".");
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return undefined;
  const at = tokens.length === 9 ? 4 : tokens.length >= 11 ? 6 : 0;
  const deliveries = Number(tokens[at]);
  const sequence = Number(tokens[at + 1]);
  const legal = at > 0 && Number.isInteger(deliveries) && deliveries > 0 && Number.isInteger(sequence);
  return legal ? { deliveries, sequence } : undefined;
}

/** What a listener does with messages that failed. */
export interface DeliveryOwner {
  readonly link: Link;
  readonly maxDeliveries: number;
  /** How long the next delivery is to wait, milliseconds. */
  backoffMs(deliveries: number): number;
  /** Whether it is about to go: others shall have the message at once. */
  readonly closing: boolean;
  /** Puts the message where dead letters go. Rejects when that cannot be. */
  bury(msg: Msg, place: Place, error: ServiceError): Promise<void>;
  /** The message is out of hand. */
  settled(delivery: Delivery): void;
}

/** One delivery of a message: acknowledged when its handler has succeeded, else delivered again, or given up. */
export class Delivery implements Caller {
  readonly msg: Msg;
  readonly place: Place;
  readonly #owner: DeliveryOwner;
  #over = false;

  constructor(msg: Msg, place: Place, owner: DeliveryOwner) {
    this.msg = msg;
    this.place = place;
    this.#owner = owner;
  }

  head(): void {}

  message(): boolean {
    return true;
  }

  end(error: string | undefined): void {
    if (this.#over) return;
    if (error === undefined) this.#say(ACK);
    else this.failed(fromConnectError(JSON.parse(error), undefined));
  }

  abandon(error: ServiceError): void {
    this.failed(error);
  }

  /** Says that the handler is still at it. */
  working(): void {
    if (!this.#over) this.#owner.link.send(this.msg.reply!, WORKING, undefined, undefined);
  }

  /** Gives the message to whoever asks next. */
  giveBack(delayMs = 0): void {
    const nanos = Math.round(delayMs * 1e6);
    this.#say(delayMs === 0 ? NAK : Buffer.from(`-NAK {"delay": ${nanos}}`));
  }

  failed(error: ServiceError): void {
    if (this.#over) return;
    const owner = this.#owner;
    const { deliveries } = this.place;
    if (PERMANENT.has(error.code) || error.retry?.never === true) void this.#bury(error);
    else if (owner.closing) this.giveBack();
    else if (deliveries >= owner.maxDeliveries) void this.#bury(error);
    else this.giveBack(Math.max(error.retry?.afterMs ?? 0, owner.backoffMs(deliveries)));
  }

  async #bury(error: ServiceError): Promise<void> {
    try {
      await this.#owner.bury(this.msg, this.place, error);
      this.#say(TERM);
    } catch {
      // It stays where it is until it can be put there.
      this.giveBack(this.#owner.backoffMs(this.place.deliveries));
    }
  }

  #say(word: Uint8Array): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.link.send(this.msg.reply!, word, undefined, undefined);
    this.#owner.settled(this);
  }
}

/** A message that no handler may have any more: it was delivered too often, without a word of how that ended. */
export function neverEnded(deliveries: number): ServiceError {
  return new ServiceError("aborted", `delivered ${deliveries} times, and never ended: its process was gone each time`);
}
