import type { SecureServerOptions } from "node:http2";
import { checkPositive, pick } from "../../errors/check-positive.ts";

/** When connections are asked for a sign of life. */
export interface KeepaliveOptions {
  /** A ping goes out so often, milliseconds, 100 or more. Default 60000; `false` never. */
  readonly everyMs?: number | false;
  /** A connection that has not answered a ping by then is given up, milliseconds, above 0. Default 20000. */
  readonly timeoutMs?: number;
}

/** What of gRPC may be set wherever it is served: on a port of its own, or on that of `http`. */
export interface GrpcProtocolOptions {
  /** Largest message of a request, also after decompression, bytes. Default 4 MiB. */
  readonly maxMessageBytes?: number;
  /** Responses of at least so many bytes are sent as gzip to peers that accept it; `false` never. Default `false`. */
  readonly compressMinBytes?: number | false;
  /**
   * What a unary call may take when neither the method nor the caller sets an earlier deadline, milliseconds. Default 30000. Streams
   * have no limit but the caller's.
   */
  readonly timeoutMs?: number;
  /** Calls in flight beyond which further ones are refused as `unavailable`. Default 10000. */
  readonly maxConcurrentRequests?: number;
  /**
   * Whether `grpc.health.v1.Health` is served: what is ready by the host's own checks is `SERVING`. Default true.
   *
   * Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
   */
  readonly health?: boolean;
  /**
   * Whether `grpc.reflection.v1.ServerReflection` tells everyone who asks what is served, for tools such as grpcurl: the contracts that
   * come from protobuf. Default false.
   */
  readonly reflection?: boolean;
}

/** Options of {@link grpc}. */
export interface GrpcServerOptions extends GrpcProtocolOptions {
  /** TCP port. Default 0: a free one. */
  readonly port?: number;
  /** Address to bind. Default `127.0.0.1`: set `0.0.0.0` or `::` to be reached from other machines. */
  readonly host?: string;
  /** Address to register under, when it is not the bound one: `grpc://10.0.0.7:9090`. */
  readonly advertise?: string;
  /** TLS, as `node:tls` takes it; ALPN `h2`. Default: clear text, by prior knowledge. */
  readonly tls?: SecureServerOptions;
  /** Largest header section, bytes. Default 16 KiB. */
  readonly maxHeaderBytes?: number;
  /** Open sockets beyond which further ones are closed at once. Default 10000. */
  readonly maxConnections?: number;
  /** Concurrent streams of one connection. Default 1000. */
  readonly maxConcurrentStreams?: number;
  /** Time for a new connection to speak, milliseconds. Default 10000. */
  readonly handshakeTimeoutMs?: number;
  /** Pings on every connection. Default: every minute. */
  readonly keepalive?: KeepaliveOptions;
}

type Optional = "advertise" | "tls";

/** Options with every default filled in. */
export type GrpcSettings = Required<Omit<GrpcServerOptions, Optional | "keepalive">> &
  Pick<GrpcServerOptions, Optional> & { readonly keepalive: Required<KeepaliveOptions> };

const defaults = {
  port: 0,
  host: "127.0.0.1",
  maxMessageBytes: 4 * 1024 * 1024,
  compressMinBytes: false as number | false,
  timeoutMs: 30_000,
  maxConcurrentRequests: 10_000,
  health: true,
  reflection: false,
  maxHeaderBytes: 16 * 1024,
  maxConnections: 10_000,
  maxConcurrentStreams: 1000,
  handshakeTimeoutMs: 10_000,
} satisfies GrpcServerOptions;

const positive = [
  "maxMessageBytes",
  "timeoutMs",
  "maxConcurrentRequests",
  "maxHeaderBytes",
  "maxConnections",
  "maxConcurrentStreams",
  "handshakeTimeoutMs",
] as const;

/** @throws TypeError naming the option that is not legal. */
export function settle(options: GrpcServerOptions): GrpcSettings {
  const settings = { ...defaults, ...options, keepalive: settleKeepalive("grpc", options.keepalive) };
  if (!Number.isInteger(settings.port) || settings.port < 0 || settings.port > 65_535) {
    throw new TypeError(`grpc: port must be a whole number from 0 to 65535, got ${settings.port}`);
  }
  checkPositive("grpc", pick(settings, positive));
  const { compressMinBytes } = settings;
  if (compressMinBytes !== false && !(compressMinBytes >= 0)) {
    throw new TypeError(`grpc: compressMinBytes must be false, or a number of bytes, got ${String(compressMinBytes)}`);
  }
  return settings;
}

/** @throws TypeError naming the option that is not legal. */
export function settleKeepalive(of: string, options: KeepaliveOptions = {}): Required<KeepaliveOptions> {
  const keepalive = { everyMs: 60_000 as number | false, timeoutMs: 20_000, ...options };
  if (keepalive.everyMs !== false && !(keepalive.everyMs >= 100)) {
    throw new TypeError(
      `${of}: keepalive.everyMs must be false, or 100 milliseconds or more, got ${keepalive.everyMs}`,
    );
  }
  checkPositive(of, { "keepalive.timeoutMs": keepalive.timeoutMs });
  return keepalive;
}
