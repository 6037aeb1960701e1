import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../clock/clock.ts";
import { type Random, systemRandom } from "../clock/random.ts";
import { systemClock } from "../clock/system-clock.ts";
import { LiveProxyFault } from "./live-proxy-fault.ts";
import { type InjectedProxyFault, type ProxyFault, settleProxyFault } from "./proxy-fault.ts";
import type { LaneSettings } from "./proxy-lane.ts";
import { ProxyLink } from "./proxy-link.ts";

/** Options of {@link faultProxy}. */
export interface FaultProxyOptions {
  /** Where connections lead: `127.0.0.1:8080`, `[::1]:8080`, or an address of an instance, `http://127.0.0.1:8080`. */
  readonly to: string;
  /** Address to bind. Default `127.0.0.1`. */
  readonly host?: string;
  /** TCP port. Default 0: a free one. */
  readonly port?: number;
  /** Open connections beyond which further ones are closed at once. Default 1000. */
  readonly maxConnections?: number;
  /** Bytes of a connection held back each way before its sender has to wait. Default 1 MiB. */
  readonly maxBufferBytes?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Draws shares, latencies, losses. Default: the system's. */
  readonly random?: Random;
}

/** What went through a proxy so far. */
export interface ProxyCounts {
  /** Connections that were accepted. */
  readonly accepted: number;
  /** Of them, those that are open, at either end. */
  readonly open: number;
  /** Of them, those for which nobody could be reached. The client saw a reset. */
  readonly unreachable: number;
  /** Connections over the limit, closed at once. */
  readonly turnedAway: number;
  /** Bytes sent on to the server. */
  readonly toServer: number;
  /** Bytes sent on to clients. */
  readonly toClient: number;
  /** Bytes held back now. */
  readonly held: number;
}

/** A proxy between clients and a server, on which connections can be made to go wrong. */
export interface FaultProxy extends AsyncDisposable {
  /** Where it listens, written as `to` is: put it in the place of the server's address. */
  readonly address: string;
  readonly port: number;
  readonly counts: ProxyCounts;
  /** What is wrong now. */
  readonly active: readonly InjectedProxyFault[];
  /**
   * From now on this goes wrong, until it is healed.
   *
   * @throws RangeError or TypeError when the fault is not a legal one, naming what is wrong; RangeError when there are 100 already.
   */
  inject(fault: ProxyFault): InjectedProxyFault;
  /** Heals all. Resolves when it listens. */
  heal(): Promise<void>;
  /** Closes all connections and stops listening. Idempotent. */
  close(): Promise<void>;
}

const MAX_FAULTS = 100;
const MIB = 1024 * 1024;

/**
 * A TCP proxy for tests: what goes through it can be made slow, thin, corrupt, or silent, and its connections can be
 * refused, closed and reset, whenever the test likes; each way, for all connections or a share, those that are open or those
 * to come. Any protocol will do.
 *
 * ```ts
 * const proxy = await faultProxy({ to: "http://127.0.0.1:8080" });
 * const shop = client(Shop, { discover: [proxy.address] });
 *
 * const slow = proxy.inject({ latencyMs: uniform(180, 220) });
 * proxy.inject({ direction: "toClient", reset: true, afterBytes: 100 });  // in the middle of each answer
 * proxy.inject({ direction: "toClient", blackhole: true, share: 0.1 });   // half open
 * await slow.heal();
 * await proxy.close();
 * ```
 *
 * Nothing is lost by healing: what a blackhole held back arrives. A client whose server cannot be reached sees its
 * connection reset, since it was accepted before.
 *
 * @throws TypeError or RangeError when an option is not legal, naming it.
 * @returns when it listens; rejects when it cannot.
 */
export async function faultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const proxy = new TcpFaultProxy(options);
  await proxy.listen();
  return proxy;
}

class TcpFaultProxy implements FaultProxy {
  readonly #to: ProxyTarget;
  readonly #host: string;
  readonly #maxConnections: number;
  readonly #settings: LaneSettings;
  readonly #links = new Set<ProxyLink>();
  #active: readonly LiveProxyFault[] = [];
  #server: Server | undefined;
  /** The last start or stop of listening. */
  #listening: Promise<void> = Promise.resolve();
  #port: number;
  #closed = false;
  #accepted = 0;
  #unreachable = 0;
  #turnedAway = 0;
  /** Of connections that are closed. */
  readonly #past = { toServer: 0, toClient: 0 };

  constructor(options: FaultProxyOptions) {
    const { host = "127.0.0.1", port = 0, maxConnections = 1000, maxBufferBytes = MIB } = options;
    const { clock = systemClock, random = systemRandom } = options;
    if (!(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
      throw new RangeError(`faultProxy: port must be a whole number from 0 to 65535, got ${port}`);
    }
    if (!(maxConnections > 0))
      throw new RangeError(`faultProxy: maxConnections must be above 0, got ${maxConnections}`);
    if (!(maxBufferBytes > 0))
      throw new RangeError(`faultProxy: maxBufferBytes must be above 0, got ${maxBufferBytes}`);
    this.#to = targetOf(options.to);
    this.#host = host;
    this.#port = port;
    this.#maxConnections = maxConnections;
    this.#settings = { clock, random, maxBufferBytes };
  }

  get port(): number {
    return this.#port;
  }

  get address(): string {
    return `${this.#to.scheme}${this.#host.includes(":") ? `[${this.#host}]` : this.#host}:${this.#port}`;
  }

  get active(): readonly InjectedProxyFault[] {
    return this.#active;
  }

  get counts(): ProxyCounts {
    let { toServer, toClient } = this.#past;
    let held = 0;
    for (const { lanes } of this.#links) {
      toServer += lanes.toServer.passed;
      toClient += lanes.toClient.passed;
      held += lanes.toServer.held + lanes.toClient.held;
    }
    const open = this.#links.size;
    return {
      accepted: this.#accepted,
      open,
      unreachable: this.#unreachable,
      turnedAway: this.#turnedAway,
      toServer,
      toClient,
      held,
    };
  }

  inject(fault: ProxyFault): InjectedProxyFault {
    const settled = settleProxyFault(fault);
    if (this.#active.length >= MAX_FAULTS) {
      throw new RangeError(`faultProxy: there are ${MAX_FAULTS} already: heal those that have served`);
    }
    const live = new LiveProxyFault(fault, settled, this.#settings.random, () => {
      this.#active = this.#active.filter((other) => other !== live);
      return this.listen();
    });
    this.#active = [...this.#active, live];
    if (settled.refuse) void this.#refuse();
    else if (settled.open) for (const link of this.#links) live.meet(link);
    return live;
  }

  async heal(): Promise<void> {
    await Promise.all(this.#active.map((live) => live.heal()));
  }

  /** Listens, unless it is listening already, closed, or told to refuse. */
  listen(): Promise<void> {
    if (this.#server !== undefined || this.#closed || this.#active.some(({ settled }) => settled.refuse)) {
      return this.#listening;
    }
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    this.#server = server;
    this.#listening = new Promise((resolve, reject) => {
      server.once("error", (error) => {
        if (this.#server === server) this.#server = undefined;
        const where = `${this.#host}:${this.#port}`;
        reject(new Error(`faultProxy: cannot listen on ${where}: ${error.message}`, { cause: error }));
      });
      server.listen(this.#port, this.#host, () => {
        this.#port = (server.address() as AddressInfo | null)?.port ?? this.#port;
        resolve();
      });
    });
    return this.#listening;
  }

  /** Stops listening, at once. Resolves when the connections that it accepted are closed. */
  #refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    return new Promise((resolve) => {
      if (server === undefined) resolve();
      else server.close(() => resolve());
    });
  }

  #accept(socket: Socket): void {
    if (this.#closed || this.#links.size >= this.#maxConnections) {
      this.#turnedAway++;
      socket.on("error", ignore);
      socket.destroy();
      return;
    }
    this.#accepted++;
    const link = new ProxyLink(socket, this.#settings);
    this.#links.add(link);
    void link.closed.then(() => {
      this.#links.delete(link);
      for (const live of this.#active) live.forget(link);
      this.#past.toServer += link.lanes.toServer.passed;
      this.#past.toClient += link.lanes.toClient.passed;
    });
    for (const live of this.#active) if (live.settled.new) live.meet(link);
    link.connect(this.#to, () => void this.#unreachable++);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const refused = this.#refuse();
    const links = [...this.#links];
    for (const link of links) link.close();
    await Promise.all([refused, ...links.map((link) => link.closed)]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

interface ProxyTarget {
  /** `http://`, or nothing. */
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
}

function targetOf(to: string): ProxyTarget {
  const [, scheme = "", bracketed, plain, port] =
    /^([a-z][a-z0-9+.-]*:\/\/)?(?:\[([^\]/]+)\]|([^\s:/[\]]+)):(\d{1,5})\/?$/i.exec(to) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw new TypeError(`faultProxy: to must look like host:port or http://host:port, got ${JSON.stringify(to)}`);
  }
  return { scheme, host: bracketed ?? plain!, port: Number(port) };
}

function ignore(): void {}
