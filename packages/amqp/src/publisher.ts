import { randomBytes } from "node:crypto";
import type { Options } from "amqplib";
import { type Context, remainingMs, withTimeout } from "flotilla/context";
import type { Caller, Contract } from "flotilla/contract";
import { chain, type Endpoint, type MethodInfo, type Middleware, type TelemetryPort } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import { callHeaders, JSON_TYPE, PROTO_TYPE } from "flotilla/wire";
import { type BrokerOptions, positive, settleBroker } from "./broker.ts";
import { writeBody } from "./message.ts";
import { Outbox } from "./outbox.ts";

/** Options of {@link publisher}. */
export interface PublisherOptions extends BrokerOptions {
  /** Where the broker is: `amqp://user:secret@host:5672/vhost`, or `amqps://`. */
  readonly url: string;
  /** Middlewares around every publication, the first outermost. Default none. */
  readonly use?: readonly Middleware[];
  /** Tracing, metrics and logs of all that is published: `telemetry()`. Default none. */
  readonly telemetry?: TelemetryPort;
  /** Whether a message that no queue takes is an error; without it, it is gone. Default true. */
  readonly mandatory?: boolean;
  /** Form of messages whose contract has a protobuf form. Default `proto`. */
  readonly format?: "proto" | "json";
  /** How long the broker may take to confirm where the context has no deadline, milliseconds. Default 10000. */
  readonly timeoutMs?: number;
  /** Largest message, as serialised, bytes. Default 4 MiB. */
  readonly maxMessageBytes?: number;
  /** Messages on the wire that the broker has not confirmed; further ones wait. Default 1000. */
  readonly maxUnconfirmed?: number;
  /** Messages that may wait, as while there is no broker; further ones are refused as `resource_exhausted`. Default 10000. */
  readonly maxWaiting?: number;
  /** What waits or is not confirmed, bytes; beyond it further ones are refused as `resource_exhausted`. Default 64 MiB. */
  readonly maxWaitingBytes?: number;
}

/**
 * What publishes the messages of a contract: a function a method, which resolves when the broker has the message safe. Disposing of it
 * waits for what is under way.
 */
export type Publisher<C extends Contract> = {
  readonly [K in keyof C["spec"]]: Caller<C["spec"][K]> extends (ctx: Context, message: infer M) => Promise<unknown>
    ? (ctx: Context, message: M) => Promise<void>
    : never;
} & AsyncDisposable;

const defaults = {
  use: [] as readonly Middleware[],
  mandatory: true,
  format: "proto" as const,
  timeoutMs: 10_000,
  maxMessageBytes: 4 * 1024 * 1024,
  maxUnconfirmed: 1000,
  maxWaiting: 10_000,
  maxWaitingBytes: 64 * 1024 * 1024,
};

/**
 * Publishes one-way messages, commands or events: those of a contract, whose answers go nowhere. They go to a topic exchange named like the service,
 * the method being the routing key, and are written to disk. A promise resolves when the broker has confirmed the message. When the connection is
 * lost before, the message is published again, with the same `message-id`, within its deadline: at least once.
 *
 * ```ts
 * const events = publisher(CargoEvents, { url: "amqp://rabbit:5672/prod" });
 * await events.booked(ctx, { cargo: "C-7" });
 * ```
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function publisher<C extends Contract>(contract: C, options: PublisherOptions): Publisher<C> {
  const settings = { ...defaults, ...options };
  const { use, telemetry, maxUnconfirmed, maxWaiting, maxWaitingBytes, timeoutMs, maxMessageBytes } = settings;
  positive("publisher", { maxUnconfirmed, maxWaiting, maxWaitingBytes, timeoutMs, maxMessageBytes });
  const broker = settleBroker("publisher", options.url, options);
  const outbox = new Outbox(broker, { maxUnconfirmed, maxWaiting, maxWaitingBytes }, async (channel) => {
    await channel.assertExchange(contract.name, "topic", { durable: true });
  });
  const ids = new MessageIds();
  const around = chain(...(telemetry === undefined ? [] : [telemetry.client("amqp")]), ...use);
  const made: Record<PropertyKey, unknown> = Object.create(null) as Record<PropertyKey, unknown>;
  for (const method of contract.methods) {
    made[method.key] = around(publishing(method, outbox, ids, broker.name, settings), method);
  }
  made[Symbol.asyncDispose] = () => outbox.drain();
  return Object.freeze(made) as Publisher<C>;
}

/** Ids that no other publisher has. */
class MessageIds {
  readonly #prefix = `${randomBytes(12).toString("base64url")}.`;
  #made = 0;

  next(): string {
    return this.#prefix + this.#made++;
  }
}

type Settings = Required<Pick<PublisherOptions, "format" | "mandatory" | "timeoutMs" | "maxMessageBytes">>;

function publishing(
  method: MethodInfo,
  outbox: Outbox,
  ids: MessageIds,
  name: string,
  { format, mandatory, timeoutMs, maxMessageBytes }: Settings,
): Endpoint {
  const { service, procedure, input, kind } = method;
  if (kind !== "unary") {
    return () =>
      Promise.reject(new ServiceError("unimplemented", `${procedure} streams, and messages are published one by one`));
  }
  const binary = format === "proto" ? input.binary : undefined;
  const contentType = binary === undefined ? JSON_TYPE : PROTO_TYPE;
  const publish = (ctx: Context, message: unknown): Promise<void> => {
    const headers = callHeaders(ctx, contentType);
    // What is left for publishing says nothing of when the message is to be handled. Not deleted: that would make a slow object of it.
    headers["content-type"] = undefined;
    headers["connect-timeout-ms"] = undefined;
    const content = writeBody(binary === undefined ? input.toJson(message) : binary.encode(message), maxMessageBytes);
    const options: Options.Publish = {
      persistent: true,
      mandatory,
      messageId: ids.next(),
      type: procedure,
      appId: name,
      contentType,
      headers: isEmpty(headers) ? undefined : headers,
    };
    return outbox.publish(ctx, service, method.name, content, options);
  };
  return function publishOne(ctx: Context, message: unknown) {
    try {
      // The outbox listens to its end no longer than it must, so that nothing is left of it.
      return publish(remainingMs(ctx) === Infinity ? withTimeout(ctx, timeoutMs) : ctx, message);
    } catch (error) {
      return Promise.reject(error);
    }
  };
}

function isEmpty(headers: MetadataRecord): boolean {
  for (const name in headers) if (headers[name] !== undefined) return false;
  return true;
}
