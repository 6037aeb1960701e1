import type { ConnectionOptions } from "node:tls";
import { Pool } from "undici";
import type { Clock } from "../../../clock/clock.ts";
import { systemClock } from "../../../clock/system-clock.ts";
import type { Endpoint } from "../../../endpoint/endpoint.ts";
import type { Connection, Connector, PoolState } from "../../../endpoint/transport.ts";
import { checkPositive } from "../../../errors/check-positive.ts";
import { type HttpClientSettings, settleClient } from "../client-options.ts";
import type { Http1Peer } from "../client-unary.ts";
import { Http2Peer } from "../http2-session.ts";
import { forwarding } from "./forwarding.ts";
import { http1Exchange } from "./http1-exchange.ts";
import { http2Exchange } from "./http2-exchange.ts";

/** Options of {@link proxyClient}. */
export interface ProxyClientOptions {
  /**
   * Speak HTTP/2 (in clear text: by prior knowledge): one connection an instance. What gRPC and streams both ways at once need. Default false.
   */
  readonly http2?: boolean;
  /** Scheme of the addresses it reaches, and that with an `s`, where they are not registered as `http`: `grpc`. Default `http`. */
  readonly scheme?: string;
  /** Connections to one instance, HTTP/1.1; further requests wait for one. Default 128. */
  readonly maxConnections?: number;
  /**
   * Requests that wait for one, HTTP/1.1, beyond which further ones go to another instance or fail with 502. One that is given up counts until its
   * turn has come. Default 4096.
   */
  readonly maxWaiting?: number;
  /** Largest header section of an answer, bytes; HTTP/1.1. Default 16 KiB. */
  readonly maxHeaderBytes?: number;
  /** Time to open a connection, milliseconds. Default 3000. */
  readonly connectTimeoutMs?: number;
  /** How long an idle connection is kept, milliseconds. Keep it below the upstream's. Default 30000. */
  readonly idleTimeoutMs?: number;
  /** HTTP/2: how often a connection that carries requests is asked whether the other side is still there, milliseconds. Default 10000. */
  readonly keepAliveMs?: number;
  /** TLS, as `node:tls` takes it: `ca`, `cert`, `key`, `servername`. */
  readonly tls?: ConnectionOptions;
}

/**
 * The way to the upstreams of {@link proxy}: sends requests on as they are. For `channel`, which finds the instances, balances over them, and
 * does without those that fail.
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function proxyClient(options: ProxyClientOptions = {}, clock: Clock = systemClock): Connector {
  const { scheme = "http", maxHeaderBytes = 16 * 1024, maxWaiting = 4096, ...rest } = options;
  const settings = settleClient(rest, "proxyClient");
  checkPositive("proxyClient", { maxHeaderBytes, maxWaiting });
  if (!/^[a-z][a-z0-9+]*$/.test(scheme)) {
    throw new TypeError(`proxyClient: scheme must be like "http" or "grpc", got ${JSON.stringify(scheme)}`);
  }
  return {
    protocol: scheme,
    callProtocol: "proxy",
    connect(address) {
      const url = parseAddress(address, scheme);
      return settings.http2
        ? new Http2Upstream(url, settings, clock)
        : new Http1Upstream(url, settings, maxHeaderBytes, maxWaiting);
    },
  };
}

function parseAddress(address: string, scheme: string): string {
  const web = address.startsWith(scheme) ? `http${address.slice(scheme.length)}` : address;
  const url = URL.parse(web);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:") || url.pathname !== "/") {
    const like = `${scheme}://host:port or ${scheme}s://host:port`;
    throw new TypeError(`proxyClient: address ${JSON.stringify(address)} must look like ${like}`);
  }
  return url.origin;
}

class Http1Upstream implements Connection {
  readonly #pool: Pool;
  readonly #peer: Http1Peer;
  readonly #endpoint: Endpoint;

  constructor(address: string, settings: HttpClientSettings, maxHeaderSize: number, maxWaiting: number) {
    this.#pool = new Pool(address, {
      connections: settings.maxConnections,
      pipelining: 1,
      allowH2: false,
      maxHeaderSize,
      keepAliveTimeout: settings.idleTimeoutMs,
      keepAliveMaxTimeout: settings.idleTimeoutMs,
      connect: { timeout: settings.connectTimeoutMs, ...(settings.tls as object) },
      // The proxy minds the time.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    const peer = { address, going: false, waiting: 0 };
    this.#peer = peer;
    this.#endpoint = forwarding(this, address, http1Exchange(this.#pool, peer, maxWaiting, settings.tls?.servername));
  }

  get going(): boolean {
    return this.#peer.going;
  }

  endpoint(): Endpoint {
    return this.#endpoint;
  }

  poolState(): PoolState {
    const { connected, free, pending } = this.#pool.stats;
    return { open: connected, idle: free, waiting: pending };
  }

  drain(): Promise<void> {
    return this.#pool.close();
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

class Http2Upstream implements Connection {
  readonly #peer: Http2Peer;
  readonly #endpoint: Endpoint;

  constructor(address: string, settings: HttpClientSettings, clock: Clock) {
    this.#peer = new Http2Peer(address, settings, clock);
    this.#endpoint = forwarding(this, address, http2Exchange(this.#peer));
  }

  endpoint(): Endpoint {
    return this.#endpoint;
  }

  poolState(): PoolState {
    return this.#peer.poolState();
  }

  drain(): Promise<void> {
    return this.#peer.drain();
  }

  async close(): Promise<void> {
    this.#peer.close();
  }
}
