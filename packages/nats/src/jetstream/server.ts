import type { Msg } from "@nats-io/nats-core";
import { type Random, systemRandom, type Timer } from "flotilla/clock";
import type { Context } from "flotilla/context";
import { type Listener, type Listening, reportError, type Service } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { JSON_TYPE, newRecord, PROTO_TYPE, RefusedMessages, Serving } from "flotilla/wire";
import { headOf, wireOf } from "../incoming.ts";
import { Link, type LinkUser } from "../link.ts";
import { reportEnd, reportFailure, reportLoss } from "../loss.ts";
import { checkServers, hostOf } from "../options.ts";
import { subjectOf } from "../subjects.ts";
import { bury } from "./dead-letters.ts";
import { Delivery, type DeliveryOwner, neverEnded, placeOf } from "./delivery.ts";
import { handledOf, oneWayFault } from "./one-way.ts";
import { type JetStreamOptions, type JetStreamSettings, settleJetStream } from "./options.ts";
import { Puller } from "./puller.ts";
import { durableOf, prepare } from "./streams.ts";

const PREPARE_AGAIN_MS = 2000;

/**
 * Handles the messages of a JetStream stream: those that {@link jetstreamClient} has published, or anybody else. One-way commands and events are
 * unary methods with an empty answer:
 *
 * ```ts
 * const OrderEvents = contract("shop.v1.OrderEvents", { placed: unary({ input: Order, output: z.object({}), idempotent: true }) });
 * const events = implement(OrderEvents, { placed: async (ctx, order) => { await bill(ctx, order); return {}; } });
 * await host({ name: "billing", serve: [events], listen: [jetstream({ stream: "orders", group: "billing" })] }).run();
 * ```
 *
 * A message is acknowledged when its handler has succeeded: each is handled at least once. What fails is delivered again, later each time; what cannot
 * be read, what fails for good (`retry.never`), and what has failed too often goes to the dead letters, with the reason in its headers.
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function jetstream(options: JetStreamOptions, random: Random = systemRandom): Listener {
  const { servers = "nats://127.0.0.1:4222" } = options;
  const addresses = typeof servers === "string" ? [servers] : servers;
  checkServers("jetstream", addresses);
  const settings = settleJetStream(options);
  return {
    protocol: "nats",
    async listen(services, root) {
      const consumer = new Consuming(addresses, settings, services, root, random);
      await consumer.open();
      return consumer;
    },
  };
}

class Consuming implements Listening, LinkUser, DeliveryOwner {
  readonly protocol = "nats";
  readonly discoverable = false;
  readonly address: string;
  readonly link: Link;
  closing = false;
  readonly #settings: JetStreamSettings;
  readonly #root: Context;
  readonly #random: Random;
  readonly #serving: Serving;
  readonly #services: readonly string[];
  /** Procedures by the subject of their messages. */
  readonly #methods = new Map<string, string>();
  readonly #deliveries = new Map<Delivery, Puller>();
  readonly refused: RefusedMessages<Delivery>;
  readonly #pullers: Puller[] = [];
  #working: Timer | undefined;
  #preparing: Timer | undefined;
  #onIdle: (() => void) | undefined;
  #drained: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  constructor(
    addresses: readonly string[],
    settings: JetStreamSettings,
    services: readonly Service[],
    root: Context,
    random: Random,
  ) {
    this.address = addresses[0]!;
    this.#settings = settings;
    this.#root = root;
    this.#random = random;
    const { retryDelayMs: firstMs, maxRetryDelayMs: maxMs } = settings;
    this.refused = new RefusedMessages(root.clock, random, { firstMs, maxMs });
    const handled = handledOf(services, settings.services);
    this.#services = handled.map(({ name }) => name);
    for (const { info } of handled.flatMap(({ methods }) => methods)) {
      const fault = oneWayFault(info);
      if (fault !== undefined) throw new TypeError(`jetstream: ${fault}`);
      this.#methods.set(subjectOf(settings.prefix, info.procedure), info.procedure);
    }
    const hosts = addresses.map((address) => hostOf("jetstream", address));
    this.link = new Link(this.address, hosts, settings, this, random);
    this.#serving = new Serving(this.address, settings.wire, handled, root, () => {});
  }

  get inFlight(): number {
    return this.#deliveries.size;
  }

  get connections(): number {
    return this.link.up ? 1 : 0;
  }

  get maxDeliveries(): number {
    return this.#settings.maxDeliveries;
  }

  /** @throws Error when the broker cannot be reached, or JetStream refuses what is needed. */
  async open(): Promise<void> {
    const { stream, group } = this.#settings;
    try {
      const connection = await this.link.open();
      await prepare(connection, this.#settings, this.#services);
      for (const service of this.#services) {
        const puller: Puller = new Puller(this.#settings, durableOf(group, service), this.link, this.#root.clock, {
          pulled: (msg) => this.#pulled(msg, puller),
          unwanted: (msg) => {
            const place = placeOf(msg.reply);
            if (place !== undefined) new Delivery(msg, place, this).giveBack();
          },
          // Somebody has taken away what was made.
          gone: () => this.#prepareSoon(),
          deaf: (error) => this.#report(`the messages of ${stream} may not be heard`, error),
        });
        this.#pullers.push(puller);
        puller.start(connection);
      }
    } catch (error) {
      await this.link.close(this.#root.clock);
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`jetstream: cannot handle the messages of ${stream} at ${this.address}: ${why}`, {
        cause: error,
      });
    }
    this.#sayWorking();
  }

  /** Subscriptions are made once the streams are there. */
  opened(): void {}

  forbidden(subject: string): void {
    const error = new ServiceError("permission_denied", `jetstream: the broker forbids to send to ${subject}`);
    reportError(this.#root, error);
  }

  lost(): void {
    for (const puller of this.#pullers) puller.pause();
    if (!this.closing) reportLoss(this.#root, "jetstream", this.address);
  }

  failed(error: Error): void {
    reportFailure(this.#root, "jetstream", this.address, error);
  }

  ended(why: Error | undefined): void {
    reportEnd(this.#root, "jetstream", this.address, why);
  }

  /** A broker that has lost its disk has no streams any more. */
  restored(): void {
    this.#preparing?.cancel();
    void this.#prepareAgain();
  }

  async #prepareAgain(): Promise<void> {
    this.#preparing = undefined;
    try {
      await prepare(await this.link.open(), this.#settings, this.#services);
      for (const puller of this.#pullers) puller.resume();
    } catch (error) {
      if (this.closing || !this.link.up) return;
      this.#report(`the messages of ${this.#settings.stream} cannot be handled`, error);
      this.#prepareSoon();
    }
  }

  #prepareSoon(): void {
    if (this.closing) return;
    this.#preparing ??= this.#root.clock.schedule(PREPARE_AGAIN_MS, () => void this.#prepareAgain());
  }

  #pulled(msg: Msg, puller: Puller): void {
    const place = placeOf(msg.reply);
    // Nothing that could be acknowledged.
    if (place === undefined) return puller.release();
    const delivery = new Delivery(msg, place, this);
    this.#deliveries.set(delivery, puller);
    // Those that were given back count as well: so there are twice as many before nobody may try any more.
    if (place.deliveries > 2 * this.maxDeliveries) return delivery.failed(neverEnded(place.deliveries - 1));
    this.handle(delivery, true);
  }

  handle(delivery: Delivery, first = false): void {
    try {
      this.#handle(delivery, first);
    } catch (error) {
      delivery.failed(ServiceError.from(error));
    }
  }

  /** @throws ServiceError when the message is none for a handler. */
  #handle(delivery: Delivery, first: boolean): void {
    const { msg } = delivery;
    const method = this.#serving.find(this.#methods.get(msg.subject) ?? "");
    if (method === undefined) throw new ServiceError("unimplemented", `nobody handles ${msg.subject}`);
    delivery.method = method;
    if (first && this.refused.waits(method, delivery)) return;
    const headers = headOf(msg)?.headers ?? newRecord();
    // Time has gone by since: what was left then says nothing now.
    headers["connect-timeout-ms"] = undefined;
    const type = (headers["content-type"] ??= JSON_TYPE);
    if (type !== JSON_TYPE && type !== PROTO_TYPE) {
      throw new ServiceError("unimplemented", `content-type must be ${JSON_TYPE} or ${PROTO_TYPE}`);
    }
    this.#serving.accept(method, headers, wireOf(msg.data, type === PROTO_TYPE), delivery);
  }

  retryDelayMs(deliveries: number, afterMs = 0): number {
    const { retryDelayMs, maxRetryDelayMs } = this.#settings;
    const ownMs = Math.min(maxRetryDelayMs, retryDelayMs * 2 ** (deliveries - 1)) * (1 - this.#random.next() / 4);
    return Math.max(ownMs, Math.min(maxRetryDelayMs, afterMs));
  }

  async bury({ msg, place, method }: Delivery, error: ServiceError): Promise<void> {
    const { stream, group } = this.#settings;
    try {
      await bury(this.link, this.#settings, msg, place, error);
      const what = `message ${place.sequence} of ${stream} (${method?.procedure ?? msg.subject}, group ${group})`;
      const why = `${what} went to the dead letters after ${times(place.deliveries)}: ${error.message}`;
      reportError(this.#root, new ServiceError(error.code, why), method);
    } catch (thrown) {
      this.#report(`message ${place.sequence} of ${stream} cannot be put among the dead letters`, thrown);
      throw thrown;
    }
  }

  #report(what: string, thrown: unknown): void {
    const cause = thrown instanceof Error ? thrown : new Error(String(thrown));
    const message = `jetstream: ${this.address}: ${what}: ${cause.message}`;
    reportError(this.#root, new ServiceError("unavailable", message, { cause }));
  }

  settled(delivery: Delivery): void {
    const puller = this.#deliveries.get(delivery);
    this.#deliveries.delete(delivery);
    puller?.release();
    if (this.#deliveries.size === 0) this.#onIdle?.();
  }

  /** Handlers may take longer than the broker waits for a word. */
  #sayWorking(): void {
    this.#working = this.#root.clock.schedule(this.#settings.ackWaitMs / 3, () => {
      for (const delivery of this.#deliveries.keys()) delivery.working();
      this.#sayWorking();
    });
    this.#working.unref();
  }

  discourage(): void {}

  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<void> {
    this.closing = true;
    this.#preparing?.cancel();
    // First, so that nothing that is given back is handed here again.
    for (const puller of this.#pullers) puller.stop();
    for (const delivery of this.refused.leave()) delivery.giveBack();
    // Until the broker has heard of it, messages come still, and are given back.
    await this.link.flush(this.#root.clock);
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      if (this.#deliveries.size === 0) resolve();
    });
    await this.link.flush(this.#root.clock);
  }

  close(cause?: unknown): Promise<void> {
    this.#closed ??= this.#close(cause);
    return this.#closed;
  }

  async #close(cause: unknown): Promise<void> {
    const drained = this.drain();
    await this.#serving.close(cause);
    await drained;
    this.#working?.cancel();
    await this.link.close(this.#root.clock);
  }
}

function times(deliveries: number): string {
  return deliveries === 1 ? "1 delivery" : `${deliveries} deliveries`;
}
