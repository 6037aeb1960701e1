import type { Msg } from "@nats-io/nats-core";
import type { MethodInfo } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { type Caller, fromConnectError, isHopeless, isRefusal, type RefusedMessages } from "flotilla/wire";
import type { Link } from "../link.ts";

const ACK = Buffer.from("+ACK");
const NAK = Buffer.from("-NAK");
const WORKING = Buffer.from("+WPI");
const TERM = Buffer.from("+TERM");

/** Where a message stands, as the subject says on which it is acknowledged. */
export interface Place {
  /** How often it has been delivered, this time included. */
  readonly deliveries: number;
  readonly sequence: number;
  /** When it was stored, as the broker says it: nanoseconds. */
  readonly storedAt: string;
}

/** Reads the subject of acknowledgements; undefined when it is none. Two forms: with the account's hash and domain, and without. */
export function placeOf(reply: string | undefined): Place | undefined {
  const tokens = (reply ?? "").split(".");
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return undefined;
  const at = tokens.length === 9 ? 4 : tokens.length >= 11 ? 6 : 0;
  const deliveries = Number(tokens[at]);
  const sequence = Number(tokens[at + 1]);
  const legal = at > 0 && Number.isInteger(deliveries) && deliveries > 0 && Number.isInteger(sequence);
  return legal ? { deliveries, sequence, storedAt: tokens[at + 3]! } : undefined;
}

/** What a listener does with messages that failed. */
export interface DeliveryOwner {
  /** Those that a policy refuses: they stay in hand until they are taken, so that no more is asked for than can be handled, and count as one delivery. */
  readonly refused: RefusedMessages<Delivery>;
  readonly link: Link;
  readonly maxDeliveries: number;
  /** How long the next delivery is to wait, milliseconds. @param afterMs - what the error asks for. */
  retryDelayMs(deliveries: number, afterMs?: number): number;
  /** Whether it is about to go: others shall have the message at once. */
  readonly closing: boolean;
  /** Hands the message to its handler. Never throws. */
  handle(delivery: Delivery): void;
  /** Puts the message where dead letters go, and tells of it. Rejects when that cannot be. */
  bury(delivery: Delivery, error: ServiceError): Promise<void>;
  /** The message is out of hand. */
  settled(delivery: Delivery): void;
}

/** One delivery of a message: acknowledged when its handler has succeeded, else delivered again, or given up. */
export class Delivery implements Caller {
  readonly msg: Msg;
  readonly place: Place;
  method: MethodInfo | undefined;
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
    const failure = error === undefined ? undefined : fromConnectError(JSON.parse(error), undefined);
    if (failure === undefined) this.#say(ACK);
    else this.failed(failure);
    if (failure === undefined || !isRefusal(failure)) this.#owner.refused.handled(this.method!);
  }

  abandon(error: ServiceError): void {
    this.failed(error);
  }

  again(): void {
    this.#owner.handle(this);
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
    if (isHopeless(error)) void this.#bury(error);
    else if (owner.closing) this.giveBack();
    else if (isRefusal(error)) owner.refused.refused(this.method!, this, error.retry?.afterMs);
    else if (deliveries >= owner.maxDeliveries) void this.#bury(error);
    else this.giveBack(owner.retryDelayMs(deliveries, error.retry?.afterMs));
  }

  async #bury(error: ServiceError): Promise<void> {
    try {
      await this.#owner.bury(this, error);
      this.#say(TERM);
    } catch {
      // It stays where it is until it can be put there.
      this.giveBack(this.#owner.retryDelayMs(this.place.deliveries));
    }
  }

  #say(word: Uint8Array): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.link.answer(this.msg.reply!, word, undefined);
    this.#owner.settled(this);
  }
}

/** A message that no handler may have any more: it was delivered too often, and each time nobody has said that it was done, or put it away. */
export function neverEnded(deliveries: number): ServiceError {
  return new ServiceError(
    "aborted",
    `delivered ${deliveries} times, and never ended: its process was gone, or it was given back`,
  );
}
