import { type ChannelModel, type ConfirmChannel, IllegalOperationError, type Options } from "amqplib";
import { afterFunc, type Context } from "flotilla/context";
import { ServiceError } from "flotilla/errors";
import { Batch } from "./batch.ts";
import type { BrokerSettings } from "./broker.ts";
import { Link, type LinkUser, watch } from "./link.ts";
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
  /** On the wire and not confirmed. */
  #unconfirmed = 0;
  /** Not on the wire yet. */
  readonly #waiting: Outgoing[] = [];
  /** Were on the wire when the connection was lost. */
  readonly #lost: Outgoing[] = [];
  /** Messages whose publishers wait, and their bytes. */
  #open = 0;
  #bytes = 0;
  /** Ids of messages that came back: their confirmation, which follows, is none. */
  readonly #returned = new Set<unknown>();
  #closed = false;
  #onIdle: (() => void) | undefined;

  /** @param declare - declares what is needed on each new channel. */
  constructor(broker: BrokerSettings, limits: OutboxLimits, declare: (channel: ConfirmChannel) => Promise<void>) {
    this.#link = new Link(broker, this);
    this.#limits = limits;
    this.#declare = declare;
  }

  /** Messages that are not confirmed yet, on the wire or not. */
  get pending(): number {
    return this.#open;
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
    if (this.#closed) return Promise.reject(refusal(`the publisher to ${this.#link.address} is closed`));
    if (this.#waiting.length >= maxWaiting || this.#bytes + content.length > maxWaitingBytes) {
      const what = `${this.pending} messages of ${this.#bytes} bytes wait for the broker at ${this.#link.address}`;
      return Promise.reject(new ServiceError("resource_exhausted", `${what}: that is the limit`));
    }
    const outgoing = new Outgoing(ctx, exchange, key, content, options);
    this.#open++;
    this.#bytes += content.length;
    outgoing.stop = afterFunc(ctx, () => this.#giveUp(outgoing));
    const channel = this.#channel;
    if (channel !== undefined && this.#waiting.length === 0 && this.#unconfirmed < maxUnconfirmed) {
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
      channel.publish(exchange, key, content, options, (error: Error | null) =>
        this.#settled(channel, outgoing, error),
      );
      this.#batch!.sent();
    } catch (error) {
      this.#unconfirmed--;
      if (error instanceof IllegalOperationError) this.#lost.push(outgoing);
      else this.#end(outgoing, unsendable(error));
    }
  }

  #settled(channel: ConfirmChannel, outgoing: Outgoing, error: Error | null): void {
    this.#unconfirmed--;
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
    this.#bytes -= outgoing.content.length;
    if (error === undefined) outgoing.resolve();
    else outgoing.reject(error);
    if (this.#open === 0) this.#onIdle?.();
  }

  /** The time of a message is up. It may have reached the broker all the same. */
  #giveUp(outgoing: Outgoing): void {
    for (const list of [this.#waiting, this.#lost]) {
      const index = list.indexOf(outgoing);
      if (index >= 0) list.splice(index, 1);
    }
    const { code } = outgoing.ctx.err!;
    this.#end(outgoing, new ServiceError(code, `the broker at ${this.#link.address} has not confirmed the message`));
  }

  #sendWaiting(channel: ConfirmChannel): void {
    while (this.#waiting.length > 0 && this.#unconfirmed < this.#limits.maxUnconfirmed) {
      this.#send(channel, this.#waiting.shift()!);
    }
  }

  async opened(connection: ChannelModel): Promise<void> {
    const channel = await connection.createConfirmChannel();
    watch(channel, (error) => channel === this.#channel && this.#link.fail(error));
    channel.on("return", ({ properties }) => this.#returned.add(properties.messageId));
    await this.#declare(channel);
    this.#returned.clear();
    this.#channel = channel;
    this.#batch = new Batch(connection);
    this.#waiting.unshift(...this.#lost.splice(0));
    this.#sendWaiting(channel);
  }

  lost(): void {
    this.#channel = undefined;
  }

  /** Takes no more, waits until all is confirmed or given up, and closes. */
  async drain(): Promise<void> {
    this.#closed = true;
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
