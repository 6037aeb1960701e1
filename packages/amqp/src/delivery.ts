import { type ConfirmChannel, type ConsumeMessage, IllegalOperationError, type Options } from "amqplib";
import type { Clock, Timer } from "flotilla/clock";
import type { MethodInfo } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import {
  type Accepted,
  type Caller,
  fromConnectError,
  isHopeless,
  isRefusal,
  type RefusedMessages,
} from "flotilla/wire";
import { textProperty } from "./message.ts";
import { declare, declarePause, pauseFor, pauseQueue, type Topology } from "./topology.ts";

/** Where deliveries come from. */
export interface DeliveryOwner {
  readonly topology: Topology;
  readonly clock: Clock;
  readonly isDraining: boolean;
  /** Whether others shall have what is not being handled. */
  readonly leaving: boolean;
  /** Whether what still runs is cut short: that is no fault of the message. */
  readonly closing: boolean;
  /** Those that a policy refuses: they stay in hand until they are taken, so that the broker sends no more than can be handled. */
  readonly refused: RefusedMessages<Delivery>;
  /** Hands it to its handler again. */
  handle(delivery: Delivery): void;
  /** It is known what becomes of a delivery: to be told to the broker by {@link Delivery.tell}. */
  settled(delivery: Delivery): void;
  report(error: ServiceError, method: MethodInfo | undefined): void;
}

/** How often a message has been handled in vain, among its headers. */
const DELIVERIES = "x-deliveries";
/** A queue that could not take a message is tried again after so long. */
const FULL_MS = 1000;
/** A message waits here to be handled for so long at most: RabbitMQ closes the channel of who keeps one for 30 minutes. */
const PATIENCE_MS = 300_000;

/** What becomes of a message: it leaves its queue, goes back to it, or to where its queue puts dead letters. */
type Fate = "ack" | "requeue" | "reject";

/** A message in hand: the caller, as `Serving` sees it. It leaves its queue when its handler has ended, or when another queue has it. */
export class Delivery implements Caller {
  accepted: Accepted | undefined;
  method: MethodInfo | undefined;
  procedure = "";
  readonly delivered: ConsumeMessage;
  readonly #channel: ConfirmChannel;
  readonly #owner: DeliveryOwner;
  /** What it is called: as its publisher says, who may say nothing. */
  readonly #id: string;
  #fate: Fate | undefined;
  #lost = false;
  #cameBack = false;
  #patience: Timer | undefined;
  /** Whether it has been refused for as long as it may stay in hand. */
  #tired = false;

  constructor(message: ConsumeMessage, channel: ConfirmChannel, owner: DeliveryOwner) {
    this.delivered = message;
    this.#channel = channel;
    this.#owner = owner;
    const { consumerTag, deliveryTag } = message.fields;
    this.#id = textProperty(message.properties.messageId) ?? `${consumerTag}.${deliveryTag}`;
  }

  head(): void {}

  message(): boolean {
    return true;
  }

  end(error: string | undefined): void {
    if (error !== undefined && this.#owner.closing) return this.giveBack();
    const failure = error === undefined ? undefined : fromConnectError(JSON.parse(error), undefined);
    if (failure === undefined) this.#settle("ack");
    else this.failed(failure);
    if (failure === undefined || !isRefusal(failure)) this.#owner.refused.handled(this.method!);
  }

  abandon(error: ServiceError): void {
    this.failed(error);
  }

  again(): void {
    this.#owner.handle(this);
  }

  /** It waits in hand until it can be handled, but not for ever. */
  waits(): void {
    if (this.#over) return;
    if (this.#tired) return this.#leave();
    this.#patience ??= this.#owner.clock.schedule(PATIENCE_MS, () => {
      this.#tired = true;
      this.#leave();
    });
    this.#patience.unref();
  }

  /** Goes to where it waits longest, since nobody could handle it here; that is not held against it. */
  #leave(): void {
    if (this.#owner.refused.remove(this.method!, this)) this.#wait(Infinity, {});
  }

  /** To whoever is next. */
  giveBack(): void {
    this.#settle("requeue");
  }

  /** The channel is gone: the message is the broker's again. */
  lost(): void {
    this.#lost = true;
    this.#patience?.cancel();
    this.accepted?.abandoned();
  }

  /** It was not handled, or not to the end: it comes again, or goes to the dead letters. */
  failed(error: ServiceError): void {
    if (this.#over) return;
    if (isRefusal(error)) return this.#refused(error);
    const { maxDeliveries, firstMs } = this.#owner.topology;
    const deliveries = this.#deliveries + 1;
    if (isHopeless(error) || deliveries >= maxDeliveries) return this.#bury(error, deliveries);
    this.#wait(Math.max(firstMs * 2 ** (deliveries - 1), error.retry?.afterMs ?? 0), { [DELIVERIES]: deliveries });
  }

  #refused(error: ServiceError): void {
    const { leaving, refused } = this.#owner;
    if (leaving) return this.giveBack();
    refused.refused(this.method!, this, error.retry?.afterMs);
    this.waits();
  }

  get #deliveries(): number {
    const count: unknown = this.delivered.properties.headers?.[DELIVERIES];
    return typeof count === "number" && count > 0 ? Math.floor(count) : 0;
  }

  #bury(error: ServiceError, deliveries: number): void {
    const { dead } = this.#owner.topology;
    const why = `message ${this.#id} of ${this.procedure} went to ${dead} after ${deliveries === 1 ? "1 delivery" : `${deliveries} deliveries`}: ${error.message}`;
    // Without its cause, which reporters would show in its place.
    this.#owner.report(new ServiceError(error.code, why), this.method);
    this.#move(dead, {
      [DELIVERIES]: deliveries,
      "x-dead-reason": isHopeless(error) ? "refused" : "failed",
      "x-dead-code": error.code,
      "x-dead-message": error.message.slice(0, 1000),
    });
  }

  /** Moves it to where it waits for so long, if not for the longest pause there is. */
  #wait(leastMs: number, more: Readonly<Record<string, unknown>>): void {
    if (this.#over) return;
    const { topology } = this.#owner;
    const delayMs = pauseFor(topology, leastMs);
    if (!topology.pauses.has(delayMs)) {
      topology.pauses.add(delayMs);
      // Until it is there, messages come back from it, and are moved again; what keeps the broker from declaring it closes the channel.
      declarePause(this.#channel, topology, delayMs).catch(() => {});
    }
    this.#move(pauseQueue(topology, delayMs), more);
  }

  /** Publishes it to another queue, and acknowledges it when that has it. */
  #move(queue: string, more: Readonly<Record<string, unknown>>): void {
    if (this.#over) return;
    const { properties, content } = this.delivered;
    const options: Options.Publish = {
      ...properties,
      messageId: this.#id,
      type: this.procedure,
      persistent: true,
      mandatory: true,
      // By `x-death` the broker drops what comes to a queue where it died already; by `CC` it would have our copies go wherever the sender likes.
      headers: { ...properties.headers, "x-death": undefined, CC: undefined, BCC: undefined, ...more },
      // Checked by the broker against who we are: whoever published it first was somebody else.
      userId: undefined as never,
      expiration: undefined as never,
    };
    try {
      this.#channel.publish("", queue, content, options, (error: Error | null) => {
        if (error === null && !this.#cameBack) this.#settle("ack");
        else this.#tryLater(queue, more);
      });
    } catch (error) {
      // What cannot be written once more, the broker moves as it is. Unless the connection is being lost, and with it the delivery.
      if (!(error instanceof IllegalOperationError)) this.#settle("reject");
    }
  }

  /** A message came back from the queue it was moved to. */
  returned(messageId: unknown): void {
    if (messageId === this.#id) this.#cameBack = true;
  }

  /** The other queue is full or gone: nothing is lost by waiting. Not given back, since its handler has ended already. */
  #tryLater(queue: string, more: Readonly<Record<string, unknown>>): void {
    if (this.#over) return;
    this.#owner.clock.schedule(FULL_MS, () => void this.#tryAgain(queue, more)).unref();
  }

  async #tryAgain(queue: string, more: Readonly<Record<string, unknown>>): Promise<void> {
    if (this.#owner.isDraining) return this.giveBack();
    if (this.#cameBack && !this.#over) {
      this.#cameBack = false;
      // What keeps the broker from declaring it closes the channel, and the message is the broker's again.
      await declare(this.#channel, this.#owner.topology).catch(() => {});
    }
    this.#move(queue, more);
  }

  #settle(fate: Fate): void {
    if (this.#over) return;
    this.#fate = fate;
    this.#patience?.cancel();
    this.#owner.settled(this);
  }

  /** What becomes of it; undefined while that is not known. */
  get fate(): Fate | undefined {
    return this.#fate;
  }

  /** Where it stands among the deliveries of its channel. */
  get tag(): number {
    return this.delivered.fields.deliveryTag;
  }

  /**
   * Tells the broker what becomes of it.
   *
   * @param before - whether the same becomes of all earlier ones that the broker has not been told of.
   */
  tell(before: boolean): void {
    if (this.#lost) return;
    try {
      if (this.#fate === "ack") this.#channel.ack(this.delivered, before);
      else this.#channel.nack(this.delivered, before, this.#fate === "requeue");
    } catch {
      // The channel is being closed: the message is the broker's again.
    }
  }

  get #over(): boolean {
    return this.#lost || this.#fate !== undefined;
  }
}
