import { randomUUID } from "node:crypto";
import type { Channel, ChannelModel, ConsumeMessage } from "amqplib";
import type { Context } from "flotilla/context";
import { type Listener, type Listening, reportError, type Service } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { Serving, settleWire, type WireOptions, type WireSettings } from "flotilla/wire";
import { Batch } from "./batch.ts";
import { type BrokerOptions, type BrokerSettings, settleBroker } from "./broker.ts";
import { Link, type LinkUser, watch } from "./link.ts";
import { readBody, readHeaders, textProperty, typeOf } from "./message.ts";
import { CANCEL_EXCHANGE } from "./names.ts";
import { passOn, Request, type RequestOwner, refuse } from "./request.ts";

/** Options of {@link amqp}. */
export interface AmqpOptions extends BrokerOptions, Pick<WireOptions, "maxMessageBytes" | "timeoutMs"> {
  /** Where the broker is: `amqp://user:secret@host:5672/vhost`, or `amqps://`. */
  readonly url: string;
  /** Calls of each service that this process has in hand at most (prefetch); further ones wait in the queue. 1 to 65535. Default 256. */
  readonly maxConcurrentCalls?: number;
  /**
   * Whether answers go to whatever queue a request names. Default false: only to reply queues whose names the broker has made, so that nobody
   * has a service write where they may not.
   */
  readonly anyReplyQueue?: boolean;
}

/** Calls whose callers gave up before they arrived here: so many are remembered. */
const REMEMBERED = 1000;
/** A queue that nobody serves any more is gone after so long, where the broker has not removed it at once. */
const UNUSED_MS = 60_000;
const MAX_PREFETCH = 65_535;

/**
 * Serves calls that come through a broker (AMQP 0-9-1, RabbitMQ 3.10 or later): one queue a service, named like it, whose instances share what
 * is in it. Unary methods only.
 *
 * ```ts
 * await host({ name: "routing", serve: [implement(Routing, service)], listen: [amqp({ url: "amqp://rabbit:5672/prod" })] }).run();
 * ```
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function amqp(options: AmqpOptions): Listener {
  const broker = settleBroker("amqp", options.url, options);
  const wire = settleServer("amqp", options);
  return {
    protocol: "amqp",
    async listen(services, root) {
      const opened = new RequestListening(broker, wire, services, root, options.anyReplyQueue ?? false);
      await opened.open();
      return opened;
    },
  };
}

/** @throws TypeError naming the option that is not legal. */
export function settleServer(who: string, options: WireOptions): WireSettings {
  // Only what is there, so that nothing that is undefined takes the place of a default.
  const { maxMessageBytes, timeoutMs, maxConcurrentCalls = 256 } = options;
  if (!(Number.isInteger(maxConcurrentCalls) && maxConcurrentCalls >= 1 && maxConcurrentCalls <= MAX_PREFETCH)) {
    throw new TypeError(
      `${who}: maxConcurrentCalls must be a whole number from 1 to ${MAX_PREFETCH}, got ${maxConcurrentCalls}`,
    );
  }
  const settled = settleWire("amqp", {
    maxConcurrentCalls,
    ...(maxMessageBytes !== undefined && { maxMessageBytes }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  });
  // Handlers run where the socket is read: there is no caller's AsyncLocalStorage to be kept from them.
  return { ...settled, apart: false };
}

class RequestListening implements Listening, LinkUser, RequestOwner {
  readonly protocol = "amqp";
  readonly #link: Link;
  readonly #serving: Serving;
  readonly #services: readonly string[];
  readonly #prefetch: number;
  readonly maxMessageBytes: number;
  readonly anyReplyQueue: boolean;
  readonly #root: Context;
  /** What is in hand, by correlation id, or by itself where that is taken. */
  readonly #requests = new Map<unknown, Request>();
  readonly #givenUp = new Set<string>();
  /** What has come while the broker was told to send no more, and the service it is for. */
  #late: [message: ConsumeMessage, service: string][] = [];
  #channel: Channel | undefined;
  #batch: Batch | undefined;
  #tags: string[] = [];
  #draining: Promise<void> | undefined;

  constructor(
    broker: BrokerSettings,
    wire: WireSettings,
    services: readonly Service[],
    root: Context,
    anyReplyQueue: boolean,
  ) {
    this.#link = new Link(broker, this);
    // What comes with a middleware of the host is asked of one instance, and a queue leads to any.
    const wanted = services.filter(({ observed }) => observed !== false);
    this.#services = wanted
      .filter(({ methods }) => methods.some(({ info }) => info.kind === "unary"))
      .map(({ name }) => name);
    this.#prefetch = wire.maxConcurrentCalls;
    this.maxMessageBytes = wire.maxMessageBytes;
    this.anyReplyQueue = anyReplyQueue;
    this.#root = root;
    // The broker holds back what is more, service by service.
    const maxConcurrentCalls = wire.maxConcurrentCalls * Math.max(1, this.#services.length);
    this.#serving = new Serving(this.#link.address, { ...wire, maxConcurrentCalls }, wanted, root, () => {});
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

  /** @throws Error when the broker cannot be reached, or has such queues already that are other than ours. */
  open(): Promise<void> {
    return this.#link.begin("amqp");
  }

  async opened(connection: ChannelModel): Promise<void> {
    const channel = await connection.createChannel();
    watch(channel, (error) => this.#broken(channel, error));
    await channel.prefetch(this.#prefetch);
    await this.#hearOfCancels(channel);
    this.#batch = new Batch(connection);
    const tags: string[] = [];
    let deleted: Error | undefined;
    for (const service of this.#draining === undefined ? this.#services : []) {
      await channel.assertQueue(service, { durable: true, autoDelete: true, expires: UNUSED_MS });
      const { consumerTag } = await channel.consume(service, (message) => {
        if (message !== null) return this.#take(message, service, channel);
        deleted = new Error(`the queue ${service} was deleted`);
        this.#broken(channel, deleted);
      });
      tags.push(consumerTag);
    }
    if (deleted !== undefined) throw deleted;
    this.#tags = tags;
    this.#channel = channel;
    // It may have begun to drain meanwhile, and could not leave what it had not joined.
    if (this.#draining !== undefined && tags.length > 0) await this.#leave(channel, tags, []);
  }

  async #hearOfCancels(channel: Channel): Promise<void> {
    await channel.assertExchange(CANCEL_EXCHANGE, "direct", { durable: true });
    const { queue } = await channel.assertQueue(`${CANCEL_EXCHANGE}.${randomUUID()}`, {
      exclusive: true,
      durable: false,
    });
    for (const service of this.#services) await channel.bindQueue(queue, CANCEL_EXCHANGE, service);
    await channel.consume(queue, (message) => message !== null && this.#giveUp(message), { noAck: true });
  }

  #broken(channel: Channel, error: Error): void {
    if (channel === this.#channel) this.#link.fail(error);
  }

  lost(error: Error): void {
    this.#channel = undefined;
    this.#late = [];
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    // They are answered by nobody from here: the broker gives them to another instance, or to this one when it is back.
    for (const request of requests) request.lost();
    if (this.#draining !== undefined) return;
    const message = `lost the broker at ${this.address}, trying again: ${error.message}`;
    reportError(this.#root, new ServiceError("unavailable", message));
  }

  failed(error: ServiceError): void {
    if (this.#draining === undefined) reportError(this.#root, error);
  }

  #take(message: ConsumeMessage, service: string, channel: Channel): void {
    if (this.#draining !== undefined) return void this.#late.push([message, service]);
    const request = new Request(message, channel, this);
    try {
      this.#begin(message, request, service);
    } catch (error) {
      request.refuse(ServiceError.from(error));
    }
  }

  /** @throws ServiceError when the request is refused. */
  #begin(message: ConsumeMessage, request: Request, service: string): void {
    const { properties, fields } = message;
    const { correlationId } = request;
    if (correlationId !== undefined && this.#givenUp.delete(correlationId)) return request.forget();
    const procedure = textProperty(properties.type);
    if (procedure === undefined) {
      throw new ServiceError("invalid_argument", `the property type must name the method: ${service}/…`);
    }
    const method = procedure.startsWith(`${service}/`) ? this.#serving.find(procedure) : undefined;
    if (method === undefined || method.kind !== "unary") {
      throw new ServiceError("unimplemented", `${procedure} is not served at ${this.address} as unary`);
    }
    if (fields.redelivered && !method.idempotent) {
      // Whoever had it may have made it.
      request.fail(new ServiceError("unavailable", `an instance was lost while it had this call of ${procedure}`));
      return;
    }
    const headers = readHeaders(properties.headers);
    const type = typeOf(properties);
    headers["content-type"] = type;
    const wire = readBody(message.content, type, this.maxMessageBytes);
    request.accepted = this.#serving.accept(method, headers, wire, request, textProperty(properties.appId));
    const key = correlationId === undefined || this.#requests.has(correlationId) ? request : correlationId;
    request.key = key;
    this.#requests.set(key, request);
  }

  /** A request has been answered. */
  done(request: Request): void {
    this.#requests.delete(request.key);
    this.#batch?.sent();
  }

  #giveUp({ content }: ConsumeMessage): void {
    const id = content.toString("latin1", 0, 255);
    const request = this.#requests.get(id);
    if (request !== undefined) return request.giveUp();
    // It has not come yet, is with another instance, or has been answered.
    this.#givenUp.add(id);
    if (this.#givenUp.size > REMEMBERED) this.#givenUp.delete(this.#givenUp.values().next().value!);
  }

  discourage(): void {}

  drain(): Promise<void> {
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  async #drain(): Promise<void> {
    const channel = this.#channel;
    const refusing: string[] = [];
    try {
      if (channel !== undefined) await this.#leave(channel, this.#tags, refusing);
    } catch {
      // The broker is gone: there is nothing to be taken any more.
    }
    await this.#serving.drain();
    try {
      for (const tag of refusing) await channel!.cancel(tag);
    } catch {
      // Likewise.
    }
  }

  /**
   * What waits is for the others; where there are none, or none that may take more, it is refused here and tried again at once: with its last
   * consumer the queue would be gone, and what waits in it.
   */
  async #leave(channel: Channel, tags: readonly string[], refusing: string[]): Promise<void> {
    for (const service of this.#services) {
      const turnAway = (message: ConsumeMessage | null): void => {
        if (message !== null) refuse(channel, message, leaving(service), this.anyReplyQueue);
      };
      refusing.push((await channel.consume(service, turnAway, { noAck: true, priority: -10 })).consumerTag);
    }
    for (const tag of tags) await channel.cancel(tag);
    // Not before: it would come here again.
    for (const [message, service] of this.#late.splice(0)) passOn(channel, message, service);
  }

  async close(cause?: unknown): Promise<void> {
    const drained = this.drain();
    await this.#serving.close(cause);
    await drained;
    const channel = this.#channel;
    this.#channel = undefined;
    // Answers that are still on their way are sent first.
    await this.#link.close(channel);
  }
}

function leaving(service: string): ServiceError {
  return new ServiceError("unavailable", `this instance of ${service} is shutting down`);
}
