import type { StreamConfig } from "@nats-io/jetstream";
import { checkTimes, checkTokens, type NatsCommonOptions, type NatsSettings, settle } from "../options.ts";

/** What both ends of a stream can be told. `maxConcurrentCalls` of a client counts the messages whose acknowledgement is awaited. */
export interface JetStreamCommonOptions extends NatsCommonOptions {
  /** What subjects begin with. Not that of `nats()`: a stream there would answer requests in the place of services. Default `flotilla-events`. */
  readonly prefix?: string;
}

/** Options of {@link jetstreamClient}. */
export interface JetStreamClientOptions extends JetStreamCommonOptions {
  /** Further servers of the same cluster: one of all is taken by chance, another when it is down. Default none. */
  readonly servers?: readonly string[];
}

/** Options of {@link jetstream}. `timeoutMs` is what a handler may take for one message, however long that is (default 30000). */
export interface JetStreamOptions
  extends Omit<JetStreamCommonOptions, "maxConcurrentCalls" | "maxWaitingMessages" | "windowBytes"> {
  /** The broker, or some of those of a cluster: `nats://host:port`. Default `nats://127.0.0.1:4222`. */
  readonly servers?: string | readonly string[];
  /** The stream that holds the messages: letters, digits, `-` and `_`. */
  readonly stream: string;
  /** The contracts whose messages are handled, for a host that serves others beside. Default: all that it serves. */
  readonly services?: readonly { readonly name: string }[];
  /** Who reads it: each group gets every message, and its processes share them. Letters, digits, `-` and `_`. Default `workers`. */
  readonly group?: string;
  /**
   * How the stream is made when it is not there: `subjects` are those of the services. `false`: it must be there. Default: on disk, for a week, full
   * streams refuse (`discard: new`). Of all this the one for dead letters has where and how long it keeps them, and no limits beside.
   */
  readonly create?: Partial<Omit<StreamConfig, "name" | "subjects">> | false;
  /** Messages of a service that this process handles at once, 1 or more. Default 64. */
  readonly maxConcurrentCalls?: number;
  /** The same over all processes of the group, 1 or more. Default 1024. */
  readonly maxAckPending?: number;
  /** What is neither acknowledged nor said to be worked on for so long goes to another process, milliseconds, 1000 to 2147483647. Default 30000. */
  readonly ackWaitMs?: number;
  /** How often a message is delivered before it is given up, 1 or more. Default 5. */
  readonly maxDeliveries?: number;
  /** How long a message that failed waits for its next delivery: doubled each time, milliseconds, above 0, at most 2147483647. Default 1000. */
  readonly retryDelayMs?: number;
  /** The longest of these waits, milliseconds, above 0, at most 2147483647. Default 60000. */
  readonly maxRetryDelayMs?: number;
  /** The stream that takes what was given up, made when it is not there. Default: the name of `stream` and `-dead`. */
  readonly deadLetters?: string;
}

/** What {@link JetStreamOptions} come to. */
export interface JetStreamSettings extends NatsSettings {
  readonly stream: string;
  /** Names; undefined for all. */
  readonly services: readonly string[] | undefined;
  readonly group: string;
  readonly create: Partial<StreamConfig> | false;
  readonly maxConcurrentCalls: number;
  readonly maxAckPending: number;
  readonly ackWaitMs: number;
  readonly maxDeliveries: number;
  readonly retryDelayMs: number;
  readonly maxRetryDelayMs: number;
  readonly deadLetters: string;
}

const EVENTS_PREFIX = "flotilla-events";
/** What stands, with the name of the stream, before the subject of a message that was given up. */
export const DEAD_PREFIX = "dead";
const NAME = /^[A-Za-z0-9_-]{1,200}$/;

const defaults = {
  group: "workers",
  create: {},
  maxConcurrentCalls: 64,
  maxAckPending: 1024,
  ackWaitMs: 30_000,
  maxDeliveries: 5,
  retryDelayMs: 1000,
  maxRetryDelayMs: 60_000,
} as const;

/** @throws TypeError naming the option that is not legal. */
export function settleJetStream(options: JetStreamOptions): JetStreamSettings {
  const { stream, deadLetters = `${stream}-dead`, ...rest } = { ...defaults, ...options };
  const { group, create, maxConcurrentCalls, maxAckPending, ackWaitMs, maxDeliveries, retryDelayMs, maxRetryDelayMs } =
    rest;
  for (const [name, text] of Object.entries({ stream, group, deadLetters })) {
    if (typeof text !== "string" || !NAME.test(text)) {
      throw new TypeError(`jetstream: ${name} must be letters, digits, "-" and "_", got ${JSON.stringify(text)}`);
    }
  }
  checkTimes("jetstream", { ackWaitMs, retryDelayMs, maxRetryDelayMs });
  for (const [name, count] of Object.entries({ maxConcurrentCalls, maxAckPending, maxDeliveries })) {
    if (!(Number.isInteger(count) && count >= 1)) {
      throw new TypeError(`jetstream: ${name} must be a whole number of 1 or more, got ${count}`);
    }
  }
  if (!(ackWaitMs >= 1000)) throw new TypeError(`jetstream: ackWaitMs must be 1000 or more, got ${ackWaitMs}`);
  const common = settleEvents("jetstream", rest);
  const wire = { ...common.wire, maxConcurrentCalls: Infinity };
  const services = options.services?.map(({ name }) => name);
  const own = {
    stream,
    services,
    group,
    create,
    maxConcurrentCalls,
    maxAckPending,
    ackWaitMs,
    maxDeliveries,
    retryDelayMs,
    maxRetryDelayMs,
  };
  return { ...common, wire, ...own, deadLetters };
}

/** The same for what both ends have. */
export function settleEvents(who: string, options: JetStreamCommonOptions): NatsSettings {
  const { prefix = EVENTS_PREFIX } = options;
  checkTokens(who, "prefix", prefix);
  const settings = settle(who, { ...options, prefix });
  return { ...settings, wire: { ...settings.wire, protocol: "jetstream" } };
}
