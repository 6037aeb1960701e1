import type { ConnectionOptions } from "node:tls";
import { checkPositive, pick } from "../../errors/check-positive.ts";
import { type KeepaliveOptions, settleKeepalive } from "./options.ts";

/** Options of {@link grpcClient}. */
export interface GrpcClientOptions {
  /** Form of messages whose contract has a protobuf form. Default `proto`. */
  readonly format?: "proto" | "json";
  /** Send messages of at least 1 KiB as gzip, and accept compressed ones. Default false. */
  readonly compress?: boolean;
  /** Largest message of an answer, also after decompression, bytes. Default 4 MiB. */
  readonly maxMessageBytes?: number;
  /** Largest header section of an answer, bytes. Default 16 KiB. */
  readonly maxHeaderBytes?: number;
  /**
   * Connections to one instance: a further one is opened when those there are carry as many calls as the server allows. Beyond
   * that, calls wait. Default 1.
   */
  readonly maxConnections?: number;
  /** Calls in flight to one instance beyond which further ones fail as `resource_exhausted`. Default 4096. */
  readonly maxConcurrentRequests?: number;
  /** Time to open a connection, milliseconds. Default 3000. */
  readonly connectTimeoutMs?: number;
  /** How long a connection is kept that carries no call, milliseconds. Default 300000. */
  readonly idleTimeoutMs?: number;
  /**
   * Pings while calls are in flight. Default `everyMs: false`: servers of other makes close connections that ping more often than they
   * allow (gRPC's default: every 5 minutes).
   */
  readonly keepalive?: KeepaliveOptions;
  /** TLS, as `node:tls` takes it: `ca`, `cert`, `key`, `servername`. */
  readonly tls?: ConnectionOptions;
}

/** Options with every default filled in. */
export type GrpcClientSettings = Required<Omit<GrpcClientOptions, "tls" | "keepalive">> &
  Pick<GrpcClientOptions, "tls"> & { readonly keepalive: Required<KeepaliveOptions> };

const defaults = {
  format: "proto",
  compress: false,
  maxMessageBytes: 4 * 1024 * 1024,
  maxHeaderBytes: 16 * 1024,
  maxConnections: 1,
  maxConcurrentRequests: 4096,
  connectTimeoutMs: 3000,
  idleTimeoutMs: 300_000,
} satisfies GrpcClientOptions;

const positive = [
  "maxMessageBytes",
  "maxHeaderBytes",
  "maxConnections",
  "maxConcurrentRequests",
  "connectTimeoutMs",
  "idleTimeoutMs",
] as const;

/** @throws TypeError naming the option that is not legal. */
export function settleClient(options: GrpcClientOptions): GrpcClientSettings {
  const settings = {
    ...defaults,
    ...options,
    keepalive: settleKeepalive("grpcClient", { everyMs: false, ...options.keepalive }),
  };
  checkPositive("grpcClient", pick(settings, positive));
  return settings;
}
