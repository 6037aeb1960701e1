import type { ChannelModel, ConfirmChannel, ConsumeMessage } from "amqplib";
import type { Clock } from "flotilla/clock";
import type { Context } from "flotilla/context";
import { type Listener, type Listening, type MethodInfo, reportError, type Service } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { Serving, type WireOptions, type WireSettings } from "flotilla/wire";
import { Batch } from "./batch.ts";
import { type BrokerOptions, type BrokerSettings, settleBroker, whole } from "./broker.ts";
import { Delivery } from "./delivery.ts";
import { Link, type LinkUser, watch, within } from "./link.ts";
import { settleServer } from "./listener.ts";
import { readBody, readHeaders, textProperty, typeOf } from "./message.ts";
import { declare, type Topology, topologyOf } from "./topology.ts";

/** Options of {@link consumer}. */
export interface ConsumerOptions extends BrokerOptions, Pick<WireOptions, "maxMessageBytes"> {
  /** Where the broker is: `amqp://user:secret@host:5672/vhost`, or `amqps://`. */
  readonly url: string;
  /** Who consumes: each group gets every message, and the processes of a group share them. Names the queue: 1 to 200 letters, digits and `_.:-`. */
  readonly group: string;
  /** Implementations of the contracts whose messages are consumed; what their methods return goes nowhere. */
  readonly serve: readonly Service[];
  /** Messages that this process has in hand at most (prefetch). 1 to 65535. Default 256. */
  readonly maxConcurrentCalls?: number;
  /** What a handler may take where its method does not say, milliseconds, above 0. Default 30000. */
  readonly timeoutMs?: number;
  /** How often a message is handled at most, the first time included, before it goes to the dead letters. 1 to 50. Default 5. */
  readonly maxDeliveries?: number;
  /** How long a message whose handler failed waits before it comes again, whole milliseconds, 1 or more; twice as long each time. Default 1000. */
  readonly retryDelayMs?: number;
  /** The longest such wait, whole milliseconds, 1 or more. Default 60000. */
  readonly maxRetryDelayMs?: number;
  /** Messages in each queue of the group, dead letters included; when full, publishers are refused. 1 to 4294967295. Default 1000000. */
  readonly maxQueueMessages?: number;
}

const defaults = { maxDeliveries: 5, retryDelayMs: 1000, maxRetryDelayMs: 60_000, maxQueueMessages: 1_000_000 };

/**
 * Consumes the one-way messages, commands or events, that {@link publisher} publishes; give it to a host to `listen`. A message is acknowledged when
 * its handler has ended well: at least once. One whose handler fails comes again, later each time, until it goes to the queue
 * `GROUP.dead` with the reason in its headers; one that no handler could ever take (unreadable, not valid, not served, or failed for
 * good) goes there at once.
 *
 * ```ts
 * await host({ name: "billing", listen: [consumer({ url, group: "billing", serve: [implement(CargoEvents, new Billing())] })] }).run();
 * ```
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function consumer(options: ConsumerOptions): Listener {
  const { group, serve } = options;
  const { maxDeliveries, retryDelayMs, maxRetryDelayMs, maxQueueMessages } = { ...defaults, ...options };
  whole("consumer", { retryDelayMs, maxRetryDelayMs, maxQueueMessages });
  if (!(Number.isInteger(maxDeliveries) && maxDeliveries >= 1 && maxDeliveries <= 50)) {
    throw new TypeError(`consumer: maxDeliveries must be a whole number from 1 to 50, got ${maxDeliveries}`);
  }
  if (!/^[\w.:-]{1,200}$/.test(group) || group.startsWith("amq.")) {
    throw new TypeError(`consumer: group must be 1 to 200 letters, digits and "_.:-", got ${JSON.stringify(group)}`);
  }
  if (serve.length === 0) throw new TypeError("consumer: serve must not be empty");
  const broker = settleBroker("consumer", options.url, options);
  const wire = settleServer("consumer", options);
  const topology = topologyOf(group, maxDeliveries, retryDelayMs, maxRetryDelayMs, maxQueueMessages);
  return {
    protocol: "amqp",
    async listen(_services, root) {
      const opened = new Consuming(broker, wire, topology, serve, root);
      await opened.open();
      return opened;
    },
  };
}

class Consuming implements Listening, LinkUser {
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

  /** Whether what still runs is cut short: that is no fault of the message. */
  get closing(): boolean {
    return this.#closing;
  }

  /** @throws Error when the broker cannot be reached, or has such queues already that are other than ours. */
  async open(): Promise<void> {
    try {
      await this.#link.open();
    } catch (error) {
      await this.#link.close();
      throw new Error(`consumer: ${(error as Error).message}`, { cause: error });
    }
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
    // The broker gives them to others, or once more to this process.
    for (const delivery of [...this.#deliveries, ...this.#held]) delivery.lost();
    this.#deliveries.clear();
    this.#held = [];
    this.#onSettled?.();
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
    if (this.#stopped || this.#closing) return delivery.giveBack();
    try {
      this.#begin(message, delivery);
    } catch (error) {
      delivery.failed(ServiceError.from(error));
    }
  }

  /** @throws ServiceError when it cannot be handled. */
  #begin({ properties, fields, content }: ConsumeMessage, delivery: Delivery): void {
    const procedure = textProperty(properties.type) ?? `${fields.exchange}/${fields.routingKey}`;
    delivery.procedure = procedure;
    const method = this.#serving.find(procedure);
    if (method === undefined || method.kind !== "unary") {
      throw new ServiceError("unimplemented", `${procedure} is not consumed by ${this.topology.queue}`);
    }
    delivery.method = method;
    const headers = readHeaders(properties.headers);
    delete headers["connect-timeout-ms"];
    const id = textProperty(properties.messageId);
    // By it, handlers know a message that comes again.
    if (id !== undefined) headers["idempotency-key"] ??= id;
    const type = typeOf(properties);
    headers["content-type"] = type;
    let wire: ReturnType<typeof readBody>;
    try {
      wire = readBody(content, type, this.#maxMessageBytes);
    } catch (error) {
      // Neither does it become smaller by waiting.
      throw new ServiceError("invalid_argument", ServiceError.from(error).message);
    }
    delivery.accepted = this.#serving.accept(method, headers, wire, delivery, textProperty(properties.appId));
  }

  settled(delivery: Delivery): void {
    this.#deliveries.delete(delivery);
    if (this.isDraining) {
      this.#held.push(delivery);
    } else {
      delivery.tell(false);
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
    // What comes until the broker has stopped is handled as well.
    await this.#channel?.cancel(this.#tag).catch(() => {});
    this.#stopped = true;
    await this.#serving.drain();
    if (this.#deliveries.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onSettled = resolve;
      });
    }
    this.#tellHeld();
  }

  /**
   * In as few words as can be: of more than 32 that a quorum queue has not written yet, RabbitMQ keeps the rest back, and forgets them when the channel is
   * closed. What was told before has been written when the broker has stopped delivering.
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
