import { randomUUID } from "node:crypto";
import { type Channel, type ChannelModel, IllegalOperationError, type Message } from "amqplib";
import { remainingMs, withTimeout } from "flotilla/context";
import type { Connection, Connector, Endpoint, MethodInfo } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import {
  type Accepted,
  type Acceptor,
  type Caller,
  Calling,
  type Pipe,
  settleWire,
  type Way,
  type Wire,
  type WireOptions,
  type WireSettings,
} from "flotilla/wire";
import { Batch } from "./batch.ts";
import { type BrokerOptions, type BrokerSettings, settleBroker } from "./broker.ts";
import { Link, type LinkUser, watch, watchBlocked } from "./link.ts";
import { textProperty, unsendable, writeBody } from "./message.ts";
import { CANCEL_EXCHANGE, REPLY_QUEUE } from "./names.ts";
import { SentCall } from "./sent-call.ts";

/** Options of {@link amqpClient}. */
export interface AmqpClientOptions
  extends BrokerOptions,
    Pick<WireOptions, "format" | "maxMessageBytes" | "maxConcurrentCalls"> {
  /** What a call may take whose context has no deadline, milliseconds: a message may be lost without a word. Default 30000. */
  readonly timeoutMs?: number;
}

/** What {@link amqpClient} makes. */
export interface AmqpClient extends Connector {
  /** Answers that belonged to no call in flight: mostly too late, after their callers had given up. */
  readonly unmatchedAnswers: number;
}

/**
 * Calls services through a broker (AMQP 0-9-1, RabbitMQ): a message to the queue of the service, the answer by direct reply-to. An address is that
 * of the broker: `amqp://host:5672/vhost`. A service that nobody serves is `unavailable` at once.
 *
 * ```ts
 * const routing = client(Routing, { discover: ["amqp://rabbit:5672/prod"], transport: amqpClient({ username, password }) });
 * ```
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function amqpClient(options: AmqpClientOptions = {}): AmqpClient {
  const { format, maxMessageBytes, maxConcurrentCalls, timeoutMs } = options;
  const wire = settleWire("amqp", {
    ...(format !== undefined && { format }),
    ...(maxMessageBytes !== undefined && { maxMessageBytes }),
    ...(maxConcurrentCalls !== undefined && { maxConcurrentCalls }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  });
  settleBroker("amqpClient", "amqp://localhost", options);
  const counts = { unmatched: 0 };
  return {
    protocol: "amqp",
    get unmatchedAnswers() {
      return counts.unmatched;
    },
    connect: (address) => new AmqpConnection(settleBroker("amqpClient", address, options), wire, counts),
  };
}

class AmqpConnection implements Connection, LinkUser, Way, Acceptor {
  readonly #link: Link;
  readonly #wire: WireSettings;
  readonly #name: string;
  readonly #counts: { unmatched: number };
  readonly #calling: Calling;
  readonly #calls = new Map<string, SentCall>();
  /** Calls that ended with the connection. */
  readonly #lost: Pick<SentCall, "id" | "method">[] = [];
  #channel: Channel | undefined;
  #batch: Batch | undefined;
  #blocked = false;
  #waiting = 0;

  constructor(broker: BrokerSettings, wire: WireSettings, counts: { unmatched: number }) {
    this.#link = new Link(broker, this);
    this.#link.stays = false;
    this.#wire = wire;
    this.#name = broker.name;
    this.#counts = counts;
    this.#calling = new Calling(broker.address, wire, this);
  }

  poolState(): { open: number; idle: number; waiting: number } {
    const open = this.#link.up ? 1 : 0;
    return { open, idle: this.#calls.size === 0 ? open : 0, waiting: this.#waiting };
  }

  endpoint(method: MethodInfo): Endpoint {
    if (method.kind !== "unary") return refusing(method);
    const endpoint = this.#calling.endpoint(method);
    const timeoutMs = method.timeoutMs ?? this.#wire.timeoutMs;
    return (ctx, request) => {
      if (remainingMs(ctx) !== Infinity) return endpoint(ctx, request);
      const bounded = withTimeout(ctx, timeoutMs);
      return endpoint(bounded, request).finally(() => bounded.cancel());
    };
  }

  acceptor(): Acceptor {
    return this;
  }

  /** @throws ServiceError when the call cannot begin. */
  accept(method: MethodInfo, headers: MetadataRecord, request: Wire | Pipe<Wire>, caller: Caller): Accepted {
    const left = headers["connect-timeout-ms"] as string;
    if (left === "0") throw new ServiceError("deadline_exceeded", "no millisecond is left for the call");
    if (this.#calls.size >= this.#wire.maxConcurrentCalls) {
      throw unsent(`${this.#calls.size} calls are in flight to ${this.#link.address}: that is the limit`);
    }
    // They would pile up here, and be made long after their callers have gone.
    if (this.#blocked) {
      throw unsent(`the broker at ${this.#link.address} takes no calls while it is short of memory or disk`);
    }
    // Whoever served one call must not be able to answer, or end, the next.
    const id = randomUUID();
    const call = new SentCall(id, method, caller, this.#wire.maxMessageBytes, this);
    if (this.#channel !== undefined) this.#send(call, headers, request as Wire);
    else void this.#sendLater(call, headers, request as Wire);
    this.#calls.set(id, call);
    if (this.#calls.size === 1) this.#link.stays = true;
    return call;
  }

  async #sendLater(call: SentCall, headers: MetadataRecord, request: Wire): Promise<void> {
    this.#waiting++;
    try {
      await this.#link.open();
      // The caller may have given up meanwhile.
      if (this.#calls.has(call.id)) this.#send(call, headers, request);
    } catch (error) {
      call.fail(ServiceError.from(error));
    } finally {
      this.#waiting--;
    }
  }

  /** @throws ServiceError when it could not be sent. */
  #send(call: SentCall, headers: MetadataRecord, request: Wire): void {
    const contentType = headers["content-type"] as string;
    // It stands among the properties. Not deleted: that would make a slow object of it.
    headers["content-type"] = undefined;
    const { service, procedure } = call.method;
    const body = writeBody(request, this.#wire.maxMessageBytes);
    const channel = this.#channel;
    // It may be lost again by the time that those who waited for it go on.
    if (channel === undefined) throw unsent(`the connection to ${this.#link.address} is being lost`);
    try {
      channel.publish("", service, body, {
        mandatory: true,
        replyTo: REPLY_QUEUE,
        correlationId: call.id,
        // What nobody has taken by then is not wanted any more.
        expiration: expiration(headers["connect-timeout-ms"] as string),
        type: procedure,
        appId: this.#name,
        contentType,
        headers,
      });
      call.sent = true;
      this.#batch!.sent();
    } catch (error) {
      if (!(error instanceof IllegalOperationError)) throw unsendable(error);
      throw unsent(`the connection to ${this.#link.address} is being lost`);
    }
  }

  /** A call is over. Without calls, the process need not stay. */
  done(call: SentCall): void {
    this.#calls.delete(call.id);
    if (this.#calls.size === 0) this.#link.stays = false;
  }

  /** The caller of a call that was sent has given up. */
  gaveUp(call: Pick<SentCall, "id" | "method">): void {
    try {
      this.#channel?.publish(CANCEL_EXCHANGE, call.method.service, Buffer.from(call.id, "latin1"));
    } catch {
      // The connection is being lost, and the instance that has the call hears of that no less.
    }
  }

  async opened(connection: ChannelModel): Promise<void> {
    const channel = await connection.createChannel();
    watch(channel, (error) => channel === this.#channel && this.#link.fail(error));
    channel.on("return", (message) => this.#returned(message));
    this.#blocked = false;
    watchBlocked(connection, (blocked) => {
      this.#blocked = blocked;
    });
    await channel.assertExchange(CANCEL_EXCHANGE, "direct", { durable: true });
    await channel.consume(REPLY_QUEUE, (message) => message !== null && this.#answered(message), { noAck: true });
    this.#channel = channel;
    this.#batch = new Batch(connection);
    // Their handlers work for nobody, should the broker have been there all the time.
    for (const call of this.#lost.splice(0)) this.gaveUp(call);
  }

  lost(error: Error): void {
    this.#channel = undefined;
    this.#blocked = false;
    for (const call of this.#calls.values()) {
      if (call.sent) {
        this.#lost.push({ id: call.id, method: call.method });
        call.fail(new ServiceError("unavailable", `lost the broker at ${this.#link.address}`, { cause: error }));
      }
    }
    // No more than may be in flight; what was lost before has run out of time, or will.
    this.#lost.splice(0, Math.max(0, this.#lost.length - this.#wire.maxConcurrentCalls));
  }

  #callOf({ properties }: Message): SentCall | undefined {
    const call = this.#calls.get(textProperty(properties.correlationId) ?? "");
    if (call === undefined) this.#counts.unmatched++;
    return call;
  }

  #answered(message: Message): void {
    this.#callOf(message)?.answered(message);
  }

  /** There is no queue for it. */
  #returned(message: Message): void {
    const call = this.#callOf(message);
    call?.fail(unsent(`nobody serves ${call.method.service} at ${this.#link.address}`));
  }

  async drain(): Promise<void> {
    await this.#calling.drain();
    await this.#closeLink();
  }

  async close(): Promise<void> {
    await this.#calling.close();
    await this.#closeLink();
  }

  async #closeLink(): Promise<void> {
    const channel = this.#channel;
    this.#channel = undefined;
    // What says that callers have given up is sent first.
    await this.#link.close(channel);
  }
}

/** RabbitMQ closes the channel on what is over 32 bits. */
function expiration(ms: string): string {
  return ms.length > 9 ? "999999999" : ms;
}

function unsent(message: string): ServiceError {
  return new ServiceError("unavailable", message, { retry: { unprocessed: true } });
}

function refusing({ procedure }: MethodInfo): Endpoint {
  const why = `${procedure} streams, and AMQP carries unary calls only: call it over flotilla/http, flotilla/grpc or @flotilla/nats`;
  return () => Promise.reject(new ServiceError("unimplemented", why));
}
