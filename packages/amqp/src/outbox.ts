import { type ChannelModel, type ConfirmChannel, IllegalOperationError, type Options } from "amqplib";
import { afterFunc, type Context } from "flotilla/context";
import { ServiceError } from "flotilla/errors";
import { Batch } from "./batch.ts";
import type { BrokerSettings } from "./broker.ts";
import { Link, type LinkUser, watch, watchBlocked } from "./link.ts";
import { unsendable } from "./message.ts";

/** How much may be on its way. */
export interface OutboxLimits {
  readonly maxUnconfirmed: number;
  readonly maxWaiting: number;
  readonly maxWaitingBytes: number;
}

/** A message until the broker has it safe. */
class Outgoing {
  readonly ctx: Context;
  readonly exchange: string;
  readonly key: string;
  readonly content: Buffer;
  readonly options: Options.Publish;
  readonly confirmed: Promise<void>;
  resolve!: () => void;
  reject!: (error: unknown) => void;
  stop!: () => boolean;
  /** Whether it is on the wire, where it takes up room whoever still waits for it. */
  sent = false;
  /** Whether whoever published it has been told how it ended. */
  over = false;

  constructor(ctx: Context, exchange: string, key: string, content: Buffer, options: Options.Publish) {
    this.ctx = ctx;
    this.exchange = exchange;
    this.key = key;
    this.content = content;
    this.options = options;
    this.confirmed = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/**
 * Publishes with confirms. A message that was not confirmed when the connection was lost is published again over the next one, with the same id, in
 * the order there was: at least once, until its context ends.
 */
export class Outbox implements LinkUser {
  readonly #link: Link;
  readonly #limits: OutboxLimits;
  readonly #declare: (channel: ConfirmChannel) => Promise<void>;
  #channel: ConfirmChannel | undefined;
  #batch: Batch | undefined;
  #blocked = false;
  /** On the wire and not confirmed. */
  #unconfirmed = 0;
  /** Not on the wire yet. */
  readonly #waiting: Outgoing[] = [];
  /** Were on the wire when the connection was lost. */
  readonly #lost: Outgoing[] = [];
  /** Messages whose publishers wait. */
  #open = 0;
  /** Of what waits or is on the wire. */
  #bytes = 0;
  /** Ids of messages that came back: their confirmation, which follows, is none. */
  readonly #returned = new Set<unknown>();
  #draining: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  /** @param declare - declares what is needed on each new channel. */
  constructor(broker: BrokerSettings, limits: OutboxLimits, declare: (channel: ConfirmChannel) => Promise<void>) {
    this.#link = new Link(broker, this);
    this.#link.stays = false;
    this.#limits = limits;
    this.#declare = declare;
  }

  /**
   * Resolves when the broker has confirmed the message.
   *
   * @param ctx - how long it may take; should have a deadline.
   * @throws ServiceError `resource_exhausted` over a limit, `unavailable` when the broker refuses the message or no queue wants it.
   */
  publish(ctx: Context, exchange: string, key: string, content: Buffer, options: Options.Publish): Promise<void> {
    const { err } = ctx;
    if (err !== undefined) return Promise.reject(err);
    const { maxWaiting, maxWaitingBytes, maxUnconfirmed } = this.#limits;
    if (this.#draining !== undefined)
      return Promise.reject(refusal(`the publisher to ${this.#link.address} is closed`));
    if (this.#waiting.length >= maxWaiting || this.#bytes + content.length > maxWaitingBytes) {
      const waiting = `${this.#waiting.length} messages wait for the broker at ${this.#link.address}`;
      const what = `${waiting}, and ${this.#bytes} bytes wait or are on the wire: that is the limit`;
      return Promise.reject(new ServiceError("resource_exhausted", what));
    }
    const outgoing = new Outgoing(ctx, exchange, key, content, options);
    if (++this.#open === 1) this.#link.stays = true;
    this.#bytes += content.length;
    outgoing.stop = afterFunc(ctx, () => this.#giveUp(outgoing));
    const channel = this.#channel;
    if (channel !== undefined && !this.#blocked && this.#waiting.length === 0 && this.#unconfirmed < maxUnconfirmed) {
      this.#send(channel, outgoing);
    } else {
      this.#waiting.push(outgoing);
      // It goes on trying; how it is told is for those who wait to find out by their deadlines.
      if (channel === undefined) this.#link.open().catch(() => {});
    }
    return outgoing.confirmed;
  }

  #send(channel: ConfirmChannel, outgoing: Outgoing): void {
    const { exchange, key, content, options } = outgoing;
    try {
      this.#unconfirmed++;
      outgoing.sent = true;
      channel.publish(exchange, key, content, options, (error: Error | null) =>
        this.#settled(channel, outgoing, error),
      );
      this.#batch!.sent();
    } catch (error) {
      this.#unconfirmed--;
      outgoing.sent = false;
      if (error instanceof IllegalOperationError) this.#lost.push(outgoing);
      else this.#end(outgoing, unsendable(error));
    }
  }

  #settled(channel: ConfirmChannel, outgoing: Outgoing, error: Error | null): void {
    this.#unconfirmed--;
    outgoing.sent = false;
    if (outgoing.over) this.#bytes -= outgoing.content.length;
    if (error === null) {
      const returned = this.#returned.size > 0 && this.#returned.delete(outgoing.options.messageId);
      this.#end(outgoing, returned ? refusal(`no queue takes ${outgoing.options.type}`) : undefined);
    } else if (error.message === "message nacked") {
      this.#end(outgoing, refusal("the broker refused the message: a queue is full, or failed"));
    } else {
      if (!outgoing.over) this.#lost.push(outgoing);
      return;
    }
    if (this.#waiting.length > 0 && channel === this.#channel) this.#sendWaiting(channel);
  }

  #end(outgoing: Outgoing, error: ServiceError | undefined): void {
    if (outgoing.over) return;
    outgoing.over = true;
    outgoing.stop();
    this.#open--;
    if (!outgoing.sent) this.#bytes -= outgoing.content.length;
    if (error === undefined) outgoing.resolve();
    else outgoing.reject(error);
    if (this.#open > 0) return;
    // Without anything under way, the process need not stay.
    this.#link.stays = false;
    this.#onIdle?.();
  }

  /** The time of a message is up. It may have reached the broker all the same. */
  #giveUp(outgoing: Outgoing): void {
    for (const list of [this.#waiting, this.#lost]) {
      const index = list.indexOf(outgoing);
      if (index >= 0) list.splice(index, 1);
    }
    const { code } = outgoing.ctx.err!;
    const what = `the broker at ${this.#link.address} has not confirmed the message`;
    const why = this.#blocked ? "it takes none while it is short of memory or disk" : this.#link.trouble;
    this.#end(outgoing, new ServiceError(code, why === undefined ? what : `${what}: ${why}`));
  }

  #sendWaiting(channel: ConfirmChannel): void {
    while (this.#waiting.length > 0 && !this.#blocked && this.#unconfirmed < this.#limits.maxUnconfirmed) {
      this.#send(channel, this.#waiting.shift()!);
    }
  }

  async opened(connection: ChannelModel): Promise<void> {
    const channel = await connection.createConfirmChannel();
    watch(channel, (error) => channel === this.#channel && this.#link.fail(error));
    channel.on("return", ({ properties }) => this.#returned.add(properties.messageId));
    this.#blocked = false;
    watchBlocked(connection, (blocked) => {
      this.#blocked = blocked;
      if (channel === this.#channel) this.#sendWaiting(channel);
    });
    await this.#declare(channel);
    this.#returned.clear();
    this.#channel = channel;
    this.#batch = new Batch(connection);
    this.#waiting.unshift(...this.#lost.splice(0));
    this.#sendWaiting(channel);
  }

  lost(): void {
    this.#channel = undefined;
    this.#blocked = false;
  }

  /** Takes no more, waits until all is confirmed or given up, and closes. Idempotent. */
  drain(): Promise<void> {
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  async #drain(): Promise<void> {
    if (this.#open > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    const channel = this.#channel;
    this.#channel = undefined;
    await this.#link.close(channel);
  }
}

function refusal(message: string): ServiceError {
  return new ServiceError("unavailable", message, { retry: { unprocessed: true } });
}
