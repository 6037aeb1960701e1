import type { NodeConnectionOptions } from "@nats-io/transport-node";
import { settleWire, type WireOptions, type WireSettings } from "flotilla/wire";

/** What the client library is told: who we are to the broker, and how TLS is spoken. The rest is ours. */
export type BrokerOptions = Pick<
  NodeConnectionOptions,
  "authenticator" | "inboxPrefix" | "name" | "pass" | "tls" | "token" | "user"
>;

/** What both ends can be told. */
export interface NatsCommonOptions extends WireOptions {
  /** Credentials, TLS and the name under which the broker lists the connection, as the client library takes them. Default none. */
  readonly broker?: BrokerOptions;
  /** What subjects begin with: `PREFIX.calc.v1.Calculator.sum`. One or more tokens. Default `flotilla`. */
  readonly prefix?: string;
  /** Bytes of a stream that may be on their way to this end, unread: a message counts as its size and 64. 1 to 16777216. Default 262144. */
  readonly windowBytes?: number;
  /** Bytes that the broker may leave untaken before further calls are refused as `unavailable`. Above 2 MiB. Default 32 MiB. */
  readonly maxPendingBytes?: number;
  /** How long opening a connection may take, milliseconds, above 0, at most 2147483647. Default 5000. */
  readonly connectTimeoutMs?: number;
  /** How often the broker is asked whether it is there, milliseconds, above 0, at most 2147483647; two that go unanswered end the connection. Default 10000. */
  readonly pingIntervalMs?: number;
  /** The longest wait between attempts to reach the broker again, milliseconds, above 0, at most 2147483647. They begin with 50. Default 2000. */
  readonly maxReconnectMs?: number;
}

/** {@link NatsCommonOptions} with every default filled in. */
export interface NatsSettings extends Required<Omit<NatsCommonOptions, keyof WireOptions>> {
  readonly wire: WireSettings;
}

export const MAX_WINDOW_BYTES = 16 * 1024 * 1024;
export const MIN_BEAT_MS = 10;
export const MAX_BEAT_MS = 600_000;
/** Node's timers run at once beyond that. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const defaults = {
  broker: {},
  prefix: "flotilla",
  windowBytes: 256 * 1024,
  maxPendingBytes: 32 * 1024 * 1024,
  connectTimeoutMs: 5000,
  pingIntervalMs: 10_000,
  maxReconnectMs: 2000,
};

/** One or more tokens of a subject, without wildcards. */
const TOKENS = /^[^\s.*>]+(\.[^\s.*>]+)*$/;

/** @throws TypeError naming the option that is not legal. */
export function settle(who: string, options: NatsCommonOptions): NatsSettings {
  const all = { ...defaults, ...options };
  // Handlers run in the context of the socket: there is no caller's AsyncLocalStorage to be kept from them.
  const wire: WireSettings = { ...settleWire("nats", options), apart: false };
  const { broker, prefix, windowBytes, maxPendingBytes, connectTimeoutMs, pingIntervalMs, maxReconnectMs } = all;
  checkTimes(who, { connectTimeoutMs, pingIntervalMs, maxReconnectMs });
  checkTokens(who, "prefix", prefix);
  if (!(windowBytes >= 1 && windowBytes <= MAX_WINDOW_BYTES)) {
    throw new TypeError(`${who}: windowBytes must be a number from 1 to ${MAX_WINDOW_BYTES}, got ${windowBytes}`);
  }
  if (!(maxPendingBytes > 2 * 1024 * 1024)) {
    throw new TypeError(`${who}: maxPendingBytes must be a number above 2097152, got ${maxPendingBytes}`);
  }
  const whole = Math.floor(windowBytes);
  return {
    broker,
    prefix,
    windowBytes: whole,
    maxPendingBytes,
    connectTimeoutMs,
    pingIntervalMs,
    maxReconnectMs,
    wire,
  };
}

/** @throws TypeError for the first that is no time of more than 0 ms for which a timer can wait, naming it. */
export function checkTimes(who: string, times: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(times)) {
    if (typeof value !== "number" || !(value > 0 && value <= MAX_TIMER_MS)) {
      throw new TypeError(`${who}: ${name} must be a number above 0, at most ${MAX_TIMER_MS}, got ${value}`);
    }
  }
}

/** @throws TypeError when the text cannot stand in a subject. */
export function checkTokens(who: string, name: string, text: string): void {
  if (typeof text !== "string" || !TOKENS.test(text)) {
    throw new TypeError(
      `${who}: ${name} must be tokens joined by dots, without spaces and wildcards, got ${JSON.stringify(text)}`,
    );
  }
}

/** @throws TypeError when one is no address of a broker. */
export function checkServers(who: string, servers: readonly string[]): void {
  if (servers.length === 0) throw new TypeError(`${who}: servers must not be empty`);
  for (const server of servers) hostOf(who, server);
}

/** `host:port` of an address. @throws TypeError when it is none of ours. */
export function hostOf(who: string, address: string): string {
  const url = URL.parse(address);
  if (url === null || url.protocol !== "nats:" || url.hostname === "" || !/^\/?$/.test(url.pathname)) {
    throw new TypeError(`${who}: address ${JSON.stringify(address)} must look like nats://host:port`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError(`${who}: credentials do not stand in an address: give them as broker: { user, pass }`);
  }
  return `${url.hostname}:${url.port === "" ? "4222" : url.port}`;
}
