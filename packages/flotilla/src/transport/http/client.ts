import { Pool } from "undici";
import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { Connection, Connector, PoolState } from "../../endpoint/transport.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { type HttpClientOptions, type HttpClientSettings, settleClient } from "./client-options.ts";
import { type OpenStream, streamEndpoint } from "./client-stream.ts";
import { type Http1Peer, type RoundTrip, unaryEndpoint, undiciRoundTrip } from "./client-unary.ts";
import { http2RoundTrip, http2Stream } from "./http2-call.ts";
import { Http2Peer } from "./http2-session.ts";
import { undiciStream } from "./undici-stream.ts";

/**
 * Calls over HTTP by the Connect protocol: Flotilla's servers, connect-go, connect-es and all others that speak it.
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function httpClient(options: HttpClientOptions = {}, clock: Clock = systemClock): Connector {
  const settings = settleClient(options);
  return {
    protocol: "http",
    callProtocol: "connect",
    connect: (address) => openHttp("httpClient", address, settings, connect, clock),
  };
}

/** How a protocol calls methods by HTTP. */
export interface CallForms {
  unary(method: MethodInfo, settings: HttpClientSettings, roundTrip: RoundTrip): Endpoint;
  stream(method: MethodInfo, settings: HttpClientSettings, open: OpenStream): Endpoint;
}

/** The Connect protocol. */
const connect: CallForms = { unary: unaryEndpoint, stream: streamEndpoint };

/**
 * A connection to one address.
 *
 * @param of - whose address it is, for errors.
 * @throws TypeError when the address is none.
 */
export function openHttp(
  of: string,
  address: string,
  settings: HttpClientSettings,
  forms: CallForms,
  clock: Clock,
): Connection {
  const url = URL.parse(address);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:") || url.pathname !== "/") {
    throw new TypeError(
      `${of}: address ${JSON.stringify(address)} must look like http://host:port or https://host:port`,
    );
  }
  return settings.http2
    ? new Http2Connection(url.origin, settings, forms, clock)
    : new Http1Connection(of, url.origin, settings, forms);
}

class Http1Connection implements Connection {
  readonly #of: string;
  readonly #pool: Pool;
  readonly #peer: Http1Peer;
  readonly #settings: HttpClientSettings;
  readonly #forms: CallForms;
  readonly #roundTrip: RoundTrip;
  readonly #openStream: OpenStream;

  constructor(of: string, address: string, settings: HttpClientSettings, forms: CallForms) {
    this.#of = of;
    this.#settings = settings;
    this.#forms = forms;
    this.#pool = new Pool(address, {
      connections: settings.maxConnections,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: settings.idleTimeoutMs,
      keepAliveMaxTimeout: settings.idleTimeoutMs,
      connect: { timeout: settings.connectTimeoutMs, ...(settings.tls as object) },
      // The context's deadline bounds the call; a second clock could only disagree with it.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.#peer = { address, going: false };
    this.#roundTrip = undiciRoundTrip(this.#pool, this.#peer, settings.maxBodyBytes);
    this.#openStream = undiciStream(this.#pool, this.#peer);
  }

  endpoint(method: MethodInfo): Endpoint {
    if (method.kind === "unary") return this.#forms.unary(method, this.#settings, this.#roundTrip);
    return this.#forms.stream(
      method,
      this.#settings,
      method.kind === "bidi_stream" ? needsHttp2(this.#of, method) : this.#openStream,
    );
  }

  get going(): boolean {
    return this.#peer.going;
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

function needsHttp2(of: string, { procedure }: MethodInfo): OpenStream {
  return async function refuse() {
    throw new ServiceError("unimplemented", `${procedure} streams both ways: use ${of}({ http2: true })`);
  };
}

class Http2Connection implements Connection {
  readonly #peer: Http2Peer;
  readonly #settings: HttpClientSettings;
  readonly #forms: CallForms;

  constructor(address: string, settings: HttpClientSettings, forms: CallForms, clock: Clock) {
    this.#settings = settings;
    this.#forms = forms;
    this.#peer = new Http2Peer(address, settings, clock);
  }

  endpoint(method: MethodInfo): Endpoint {
    return method.kind === "unary"
      ? this.#forms.unary(method, this.#settings, http2RoundTrip(this.#peer, this.#settings.maxBodyBytes))
      : this.#forms.stream(method, this.#settings, http2Stream(this.#peer));
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
