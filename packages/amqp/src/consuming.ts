import type { ChannelModel, ConfirmChannel, ConsumeMessage, MessageProperties } from "amqplib";
import type { Clock } from "flotilla/clock";
import type { Context } from "flotilla/context";
import { type Listening, type MethodInfo, reportError, type Service } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import { RefusedMessages, Serving, type Wire, type WireSettings } from "flotilla/wire";
import { Batch } from "./batch.ts";
import type { BrokerSettings } from "./broker.ts";
import { Delivery, type DeliveryOwner } from "./delivery.ts";
import { Link, type LinkUser, watch, within } from "./link.ts";
import { readBody, readHeaders, textProperty, typeOf } from "./message.ts";
import { declare, type Topology } from "./topology.ts";

/** How long a broker that has no more messages is given to write what it was told, milliseconds. */
const WRITE_MS = 200;

/** What a group consumes, at one process. */
export class Consuming implements Listening, LinkUser, DeliveryOwner {
  readonly protocol = "amqp";
  readonly discoverable = false;
  readonly topology: Topology;
  readonly clock: Clock;
  readonly #link: Link;
  readonly #serving: Serving;
  readonly #services: readonly Service[];
  readonly #prefetch: number;
  readonly #maxMessageBytes: number;
  readonly #root: Context;
  /** Those of which it is not known yet what becomes of them. */
  readonly #deliveries = new Set<Delivery>();
  readonly refused: RefusedMessages<Delivery>;
  /** Those of which the broker is told when all are done. */
  #held: Delivery[] = [];
  #channel: ConfirmChannel | undefined;
  #batch: Batch | undefined;
  #tag = "";
  #draining: Promise<void> | undefined;
  /** Whether what comes is not handled any more. */
  #stopped = false;
  #closing = false;
  #onSettled: (() => void) | undefined;
  #onFull: (() => void) | undefined;
  /** When the broker was told last what became of a message. */
  #toldMs = -Infinity;

  constructor(
    broker: BrokerSettings,
    wire: WireSettings,
    topology: Topology,
    services: readonly Service[],
    root: Context,
  ) {
    this.topology = topology;
    this.clock = broker.clock;
    this.#link = new Link(broker, this);
    this.#services = services;
    this.#prefetch = wire.maxConcurrentCalls;
    this.#maxMessageBytes = wire.maxMessageBytes;
    this.#root = root;
    this.#serving = new Serving(this.#link.address, wire, services, root, () => {});
    this.refused = new RefusedMessages(broker.clock, broker.random, topology);
  }

  get address(): string {
    return this.#link.address;
  }

  get inFlight(): number {
    return this.#serving.inFlight;
  }

  get connections(): number {
    return this.#link.up ? 1 : 0;
  }

  get isDraining(): boolean {
    return this.#draining !== undefined;
  }

  get closing(): boolean {
    return this.#closing;
  }

  /** @throws Error when the broker cannot be reached, or has such queues already that are other than ours. */
  open(): Promise<void> {
    return this.#link.begin("consumer");
  }

  async opened(connection: ChannelModel): Promise<void> {
    const channel = await connection.createConfirmChannel();
    watch(channel, (error) => channel === this.#channel && this.#link.fail(error));
    channel.on("return", ({ properties }) => {
      for (const delivery of this.#deliveries) delivery.returned(properties.messageId);
    });
    await channel.prefetch(this.#prefetch);
    const { queue } = this.topology;
    await declare(channel, this.topology);
    for (const { name, methods } of this.#services) {
      await channel.assertExchange(name, "topic", { durable: true });
      for (const { info } of methods) if (info.kind === "unary") await channel.bindQueue(queue, name, info.name);
    }
    this.#batch = new Batch(connection);
    if (this.isDraining) return;
    let deleted: Error | undefined;
    const { consumerTag } = await channel.consume(queue, (message) => {
      if (message !== null) return this.#take(message, channel);
      deleted = new Error(`the queue ${queue} was deleted`);
      this.#link.fail(deleted);
    });
    if (deleted !== undefined) throw deleted;
    this.#tag = consumerTag;
    this.#channel = channel;
    // It may have begun to drain meanwhile, and could not cancel what was not there.
    if (this.isDraining) await channel.cancel(consumerTag);
  }

  lost(error: Error): void {
    this.#channel = undefined;
    this.refused.leave();
    // The broker gives them to others, or once more to this process.
    for (const delivery of [...this.#deliveries, ...this.#held]) delivery.lost();
    this.#deliveries.clear();
    this.#held = [];
    this.#onSettled?.();
    this.#onFull?.();
    if (this.isDraining) return;
    const message = `lost the broker at ${this.address}, trying again: ${error.message}`;
    reportError(this.#root, new ServiceError("unavailable", message));
  }

  failed(error: ServiceError): void {
    if (!this.isDraining) reportError(this.#root, error);
  }

  #take(message: ConsumeMessage, channel: ConfirmChannel): void {
    const delivery = new Delivery(message, channel, this);
    this.#deliveries.add(delivery);
    if (this.#isFull) this.#onFull?.();
    if (this.leaving) return delivery.giveBack();
    this.handle(delivery, true);
  }

  get leaving(): boolean {
    return this.#stopped || this.#closing;
  }

  handle(delivery: Delivery, first = false): void {
    try {
      this.#begin(delivery, first);
    } catch (error) {
      delivery.failed(ServiceError.from(error));
    }
  }

  /** @throws ServiceError when it cannot be handled. */
  #begin(delivery: Delivery, first: boolean): void {
    const { properties, fields, content } = delivery.delivered;
    const procedure = textProperty(properties.type) ?? `${fields.exchange}/${fields.routingKey}`;
    delivery.procedure = procedure;
    const method = this.#serving.find(procedure);
    if (method === undefined || method.kind !== "unary") {
      throw new ServiceError("unimplemented", `${procedure} is not consumed by ${this.topology.queue}`);
    }
    delivery.method = method;
    if (first && this.refused.waits(method, delivery)) return delivery.waits();
    const { headers, wire } = this.#read(properties, content);
    delivery.accepted = this.#serving.accept(method, headers, wire, delivery, textProperty(properties.appId));
  }

  /** @throws ServiceError `invalid_argument` when it cannot be read, too large as well: it becomes no smaller by waiting. */
  #read(properties: MessageProperties, content: Buffer): { headers: MetadataRecord; wire: Wire } {
    try {
      const headers = readHeaders(properties.headers);
      delete headers["connect-timeout-ms"];
      const id = textProperty(properties.messageId);
      // By it, handlers know a message that comes again.
      if (id !== undefined) headers["idempotency-key"] ??= id;
      const type = typeOf(properties);
      headers["content-type"] = type;
      return { headers, wire: readBody(content, type, this.#maxMessageBytes) };
    } catch (error) {
      throw new ServiceError("invalid_argument", ServiceError.from(error).message);
    }
  }

  settled(delivery: Delivery): void {
    this.#deliveries.delete(delivery);
    if (this.isDraining) {
      this.#held.push(delivery);
    } else {
      delivery.tell(false);
      this.#toldMs = this.clock.now();
      this.#batch?.sent();
    }
    if (this.#deliveries.size === 0) this.#onSettled?.();
  }

  /** Tells of a message that went to the dead letters. */
  report(error: ServiceError, method: MethodInfo | undefined): void {
    reportError(this.#root, error, method);
  }

  discourage(): void {}

  drain(): Promise<void> {
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  async #drain(): Promise<void> {
    await this.#allWritten();
    // What comes until the broker has stopped is handled as well.
    await this.#channel?.cancel(this.#tag).catch(() => {});
    this.#stopped = true;
    for (const delivery of this.refused.leave()) delivery.giveBack();
    await this.#serving.drain();
    if (this.#deliveries.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onSettled = resolve;
      });
    }
    this.#tellHeld();
  }

  /**
   * Resolves when the broker has written all it was told: it fills each place anew only then. Where nothing more is waiting, a moment has to do.
   */
  async #allWritten(): Promise<void> {
    const leftMs = this.#toldMs + WRITE_MS - this.clock.now();
    if (this.#channel === undefined || this.#isFull || leftMs <= 0) return;
    const full = new Promise<void>((resolve) => {
      this.#onFull = resolve;
    });
    await within(this.clock, full, leftMs);
    this.#onFull = undefined;
  }

  get #isFull(): boolean {
    return this.#deliveries.size + this.#held.length >= this.#prefetch;
  }

  /**
   * In as few words as can be: of more than 32 that a quorum queue has not written yet, RabbitMQ keeps the rest back, and forgets them when the channel is
   * closed.
   */
  #tellHeld(): void {
    const held = this.#held.sort((a, b) => a.tag - b.tag);
    this.#held = [];
    const all = this.#deliveries.size === 0;
    held.forEach((delivery, i) => {
      if (!all || delivery.fate !== held[i + 1]?.fate) delivery.tell(all);
    });
  }

  async close(cause?: unknown): Promise<void> {
    const drained = this.drain();
    this.#closing = true;
    await this.#serving.close(cause);
    // What is on its way to another queue is waited for when everything else has ended, but not for long; else it comes again.
    await within(this.clock, drained);
    this.#tellHeld();
    const channel = this.#channel;
    this.#channel = undefined;
    // With it goes the last acknowledgement.
    await this.#link.close(channel);
  }
}
