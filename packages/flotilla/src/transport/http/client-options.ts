import type { ConnectionOptions } from "node:tls";
import type { Encoding } from "../../codec/compression.ts";
import { checkPositive, pick } from "../../errors/check-positive.ts";

/** Options of {@link httpClient}. */
export interface HttpClientOptions {
  /** Speak HTTP/2 (in clear text: by prior knowledge): one connection an instance, and streams both ways. Default false. */
  readonly http2?: boolean;
  /** Form of messages whose contract has a protobuf form. Default `proto`. */
  readonly format?: "proto" | "json";
  /** Call safe unary methods with GET, so that browsers and proxies may cache. Default false. */
  readonly get?: boolean;
  /** Compress requests of at least 1 KiB so, and accept compressed responses. Default: neither. */
  readonly compress?: Encoding;
  /** Connections to one instance, HTTP/1.1. Default 128. */
  readonly maxConnections?: number;
  /** Calls in flight to one instance beyond which further ones fail as `resource_exhausted`. Default 4096. */
  readonly maxConcurrentRequests?: number;
  /** Largest response of a unary call, also after decompression, bytes. Default 4 MiB. */
  readonly maxBodyBytes?: number;
  /** Largest message of a stream, also after decompression, bytes. Default 4 MiB. */
  readonly maxMessageBytes?: number;
  /** Time to open a connection, milliseconds. Default 3000. */
  readonly connectTimeoutMs?: number;
  /** How long an idle connection is kept, milliseconds. Keep it below the server's. Default 30000. */
  readonly idleTimeoutMs?: number;
  /**
   * HTTP/2: how often a connection that carries calls is asked whether the other side is still there (PING), milliseconds.
   * When it has not answered by the next time, its calls fail as `unavailable`. Default 10000.
   */
  readonly keepAliveMs?: number;
  /** TLS, as `node:tls` takes it: `ca`, `cert`, `key`, `servername`. */
  readonly tls?: ConnectionOptions;
}

const MIB = 1024 * 1024;

/** Options with every default filled in. */
export type HttpClientSettings = Required<Omit<HttpClientOptions, "compress" | "tls">> &
  Pick<HttpClientOptions, "compress" | "tls">;

const defaults = {
  http2: false,
  format: "proto",
  get: false,
  maxConnections: 128,
  maxConcurrentRequests: 4096,
  maxBodyBytes: 4 * MIB,
  maxMessageBytes: 4 * MIB,
  connectTimeoutMs: 3000,
  idleTimeoutMs: 30_000,
  keepAliveMs: 10_000,
} satisfies HttpClientOptions;

const positive = [
  "maxConnections",
  "maxConcurrentRequests",
  "maxBodyBytes",
  "maxMessageBytes",
  "connectTimeoutMs",
  "idleTimeoutMs",
  "keepAliveMs",
] as const;

/**
 * @param of - whose options they are, for errors.
 * @throws TypeError naming the option that is not legal.
 */
export function settleClient(options: HttpClientOptions, of = "httpClient"): HttpClientSettings {
  const settings = { ...defaults, ...options };
  checkPositive(of, pick(settings, positive));
  return settings;
}
