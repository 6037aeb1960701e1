import type { ConnectionOptions } from "node:tls";
import type { Options, SocketOptions } from "amqplib";
import { type Clock, type Random, systemClock, systemRandom } from "flotilla/clock";

/** How a broker is reached. */
export interface BrokerOptions {
  /** Who we are. Default: as the address says, else `guest`. */
  readonly username?: string;
  /** Its password. Default: as the address says, else `guest` where nobody is named. */
  readonly password?: string;
  /** Certificates and the like for `amqps://`. Default: those of Node. */
  readonly tls?: ConnectionOptions;
  /** Under which the broker lists the connection, and handlers know their peer: 1 to 100 visible ASCII characters. Default `flotilla`. */
  readonly name?: string;
  /** A broker that is silent for twice as long is gone, milliseconds, from 1000 to 65535000, whole seconds. Default 10000. */
  readonly heartbeatMs?: number;
  /** How long opening a connection may take, with all that is declared on it, milliseconds, above 0. Default 5000. */
  readonly connectTimeoutMs?: number;
  /**
   * The longest wait before the broker is tried again, milliseconds, above 0. Waits are random, up to 100 ms at first and twice as much
   * each time (full jitter). Default 5000.
   */
  readonly maxReconnectMs?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Of the waits. Default: the system's. */
  readonly random?: Random;
}

/** {@link BrokerOptions} with every default filled in, and a broker to go with them. */
export interface BrokerSettings {
  /** `amqp://host:port/vhost`, without credentials. */
  readonly address: string;
  readonly name: string;
  readonly connectTimeoutMs: number;
  readonly maxReconnectMs: number;
  readonly clock: Clock;
  readonly random: Random;
  /** What the client library is told. */
  readonly connect: Options.Connect;
  readonly socket: SocketOptions;
}

const defaults = {
  name: "flotilla",
  heartbeatMs: 10_000,
  connectTimeoutMs: 5000,
  maxReconnectMs: 5000,
  clock: systemClock,
  random: systemRandom,
};

const PORTS: Readonly<Record<string, number>> = { "amqp:": 5672, "amqps:": 5671 };
/** What fits into the frame that agrees on it. */
const MAX_HEARTBEAT_MS = 65_535_000;
/** RabbitMQ's own choice. A frame that claims to be longer ends the connection, before it is read. */
const FRAME_BYTES = 128 * 1024;

/**
 * @param who - the function that was given the options, for errors.
 * @throws TypeError naming the option that is not legal.
 */
export function settleBroker(who: string, url: string, options: BrokerOptions): BrokerSettings {
  const { name, heartbeatMs, connectTimeoutMs, maxReconnectMs, clock, random } = { ...defaults, ...options };
  positive(who, { connectTimeoutMs, maxReconnectMs });
  if (!(heartbeatMs >= 1000 && heartbeatMs <= MAX_HEARTBEAT_MS)) {
    throw new TypeError(
      `${who}: heartbeatMs must be 1000 or more milliseconds, to ${MAX_HEARTBEAT_MS}, got ${heartbeatMs}`,
    );
  }
  if (!/^[\x21-\x7e]{1,100}$/.test(name)) {
    throw new TypeError(`${who}: name must be 1 to 100 visible ASCII characters, got ${JSON.stringify(name)}`);
  }
  const parts = partsOf(url);
  // Not the text itself: it may hold a password.
  if (parts === undefined) {
    const like =
      "amqp://host:port/vhost or amqps://…, with nothing behind it, and %23 for a # and the like in a password";
    throw new TypeError(`${who}: the address of the broker must look like ${like}`);
  }
  const { protocol, hostname, port, pathname } = parts;
  const username = options.username ?? parts.username;
  const password = options.password ?? parts.password;
  return {
    address: `${protocol}//${hostname}:${port}${pathname === "/" ? "" : pathname}`,
    name,
    connectTimeoutMs,
    maxReconnectMs,
    clock,
    random,
    connect: {
      protocol: protocol.slice(0, -1),
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port,
      username: username === "" ? "guest" : username,
      password: username === "" && password === "" ? "guest" : password,
      // As the client library takes it: still in its percent form.
      ...(pathname.length > 1 && { vhost: pathname.slice(1) }),
      heartbeat: Math.round(heartbeatMs / 1000),
      frameMax: FRAME_BYTES,
      maxFrameSize: FRAME_BYTES,
    },
    socket: {
      ...options.tls,
      noDelay: true,
      timeout: connectTimeoutMs,
      clientProperties: { connection_name: name },
    },
  };
}

interface Parts {
  readonly protocol: string;
  readonly hostname: string;
  readonly port: number;
  readonly pathname: string;
  readonly username: string;
  readonly password: string;
}

function partsOf(url: string): Parts | undefined {
  const parts = URL.parse(url);
  if (parts === null) return undefined;
  const { protocol, hostname, pathname } = parts;
  const port = parts.port === "" ? PORTS[protocol] : Number(parts.port);
  if (!(protocol in PORTS) || port === undefined || hostname === "" || pathname.lastIndexOf("/") > 0) {
    return undefined;
  }
  // A "#" or "?" may be one of a password, and what stands before it is no host then.
  if (parts.search !== "" || parts.hash !== "") return undefined;
  try {
    const username = decodeURIComponent(parts.username);
    return { protocol, hostname, port, pathname, username, password: decodeURIComponent(parts.password) };
  } catch {
    return undefined;
  }
}

/** The broker takes no others, and no larger ones everywhere. @throws TypeError for the first that is none from 1 to 2^32 - 1, naming it. */
export function whole(who: string, numbers: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (!(Number.isInteger(value) && value >= 1 && value < 2 ** 32)) {
      throw new TypeError(`${who}: ${name} must be a whole number from 1 to ${2 ** 32 - 1}, got ${value}`);
    }
  }
}

/** @throws TypeError for the first that is not above 0, naming it. */
export function positive(who: string, numbers: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (typeof value !== "number" || !(value > 0))
      throw new TypeError(`${who}: ${name} must be a number above 0, got ${value}`);
  }
}
