import type { SecureServerOptions } from "node:http2";
import type { Context } from "../../context/context.ts";
import type { FinishedCall } from "../../endpoint/finished-call.ts";
import type { HttpProtocol } from "../../endpoint/http-protocol.ts";
import { checkPositive, pick } from "../../errors/check-positive.ts";
import type { ServiceError } from "../../errors/service-error.ts";
import type { ServerCall } from "../../metadata/call.ts";

/** Which pages of other origins may call, by the CORS protocol (https://fetch.spec.whatwg.org/#http-cors-protocol). */
export interface CorsOptions {
  /**
   * Origins as browsers write them, like `https://app.example`, or `"*"` for all. `null`, the origin of sandboxed frames and
   * files, cannot be named: every page can make a frame that has it.
   */
  readonly origins: readonly string[] | "*";
  /** Whether cookies and client certificates may be sent. Not together with `"*"`. Default false. */
  readonly credentials?: boolean;
  /** Request headers allowed beyond those of the Connect protocol, trace context and `authorization`. Default none. */
  readonly allowHeaders?: readonly string[];
  /** Response headers shown to the page beyond those of the protocol. Default none. */
  readonly exposeHeaders?: readonly string[];
  /** How long a browser may keep a preflight answer, seconds; 0 not at all. Default 7200, the most that Chromium keeps it. */
  readonly maxAgeS?: number;
}

/** An HTTP answer in place of the one the protocol prescribes for an error. */
export interface ErrorResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Where a service can reach into the transport. A hook that throws fails the call as `internal`. */
export interface HttpServerHooks {
  /** Runs before the body is read; gives the context the call goes on with (`withValue(ctx, ...)`). */
  readonly before?: (ctx: Context, call: ServerCall) => Context;
  /** Runs when a unary response is known, before it is sent: the place for `call.responseHeaders.set(...)`. */
  readonly after?: (ctx: Context, call: ServerCall, response: unknown) => void;
  /** Writes a unary error in a form of your own; undefined leaves it to the protocol. */
  readonly encodeError?: (error: ServiceError, call: ServerCall) => ErrorResponse | undefined;
  /** Runs once a call, when it is over, however it ended. */
  readonly finalize?: (ctx: Context, call: FinishedCall) => void;
}

/** Options of {@link http}. */
export interface HttpServerOptions {
  /** TCP port. Default 0: a free one. */
  readonly port?: number;
  /** Address to bind. Default `127.0.0.1`: set `0.0.0.0` or `::` to be reached from other machines. */
  readonly host?: string;
  /** Address to register under, when it is not the bound one: `http://10.0.0.7:8080`. */
  readonly advertise?: string;
  /** TLS, as `node:tls` takes it; HTTP/2 and HTTP/1.1 are negotiated by ALPN. Default: clear text. */
  readonly tls?: SecureServerOptions;
  /** Whether HTTP/2 is spoken beside HTTP/1.1 on the same port (in clear text: by prior knowledge). Default true. */
  readonly http2?: boolean;
  /** Largest body of a unary request, also after decompression, bytes. Default 4 MiB. */
  readonly maxBodyBytes?: number;
  /** Largest message of a stream, also after decompression, bytes. Default 4 MiB. */
  readonly maxMessageBytes?: number;
  /** Largest header section, bytes. Default 16 KiB. */
  readonly maxHeaderBytes?: number;
  /** Time for the header section to arrive, milliseconds. Default 10000. */
  readonly headersTimeoutMs?: number;
  /**
   * What a unary call may take, from its first byte to its answer, when neither the method nor the caller sets an earlier
   * deadline, milliseconds. Default 30000. Streams have no limit but the caller's.
   */
  readonly timeoutMs?: number;
  /** How long an idle connection is kept, milliseconds. Default 65000. */
  readonly idleTimeoutMs?: number;
  /** Calls in flight beyond which further ones are refused as `unavailable`. Default 10000. */
  readonly maxConcurrentRequests?: number;
  /** Open sockets beyond which further ones are closed at once. Default 10000. */
  readonly maxConnections?: number;
  /** Concurrent streams of one HTTP/2 connection. Default 1000. */
  readonly maxConcurrentStreams?: number;
  /** Responses of at least so many bytes are compressed for peers that accept it; `false` never. Default 1024. */
  readonly compressMinBytes?: number | false;
  /** Cross-origin callers. Default none. */
  readonly cors?: CorsOptions;
  /** Further protocols on the same port, asked in this order before Connect and REST: `[grpc()]`. Default none. */
  readonly protocols?: readonly HttpProtocol[];
  /** For calls of Connect and REST; those of `protocols` pass them by: what must stand before every call is a middleware. Default none. */
  readonly hooks?: HttpServerHooks;
}

const MIB = 1024 * 1024;

/** Options with every default filled in. */
export type HttpServerSettings = Required<Omit<HttpServerOptions, "advertise" | "tls" | "cors">> &
  Pick<HttpServerOptions, "advertise" | "tls" | "cors">;

const defaults = {
  port: 0,
  host: "127.0.0.1",
  http2: true,
  maxBodyBytes: 4 * MIB,
  maxMessageBytes: 4 * MIB,
  maxHeaderBytes: 16 * 1024,
  headersTimeoutMs: 10_000,
  timeoutMs: 30_000,
  idleTimeoutMs: 65_000,
  maxConcurrentRequests: 10_000,
  maxConnections: 10_000,
  maxConcurrentStreams: 1000,
  compressMinBytes: 1024,
  protocols: [],
  hooks: {},
} satisfies HttpServerOptions;

const positive = [
  "maxBodyBytes",
  "maxMessageBytes",
  "maxHeaderBytes",
  "headersTimeoutMs",
  "timeoutMs",
  "idleTimeoutMs",
  "maxConcurrentRequests",
  "maxConnections",
  "maxConcurrentStreams",
] as const;

/**
 * @param of - whose options they are, for errors.
 * @throws TypeError naming the option that is not legal.
 */
export function settle(options: HttpServerOptions, of = "http"): HttpServerSettings {
  const settings = { ...defaults, ...options };
  if (!Number.isInteger(settings.port) || settings.port < 0 || settings.port > 65_535) {
    throw new TypeError(`${of}: port must be a whole number from 0 to 65535, got ${settings.port}`);
  }
  checkPositive(of, pick(settings, positive));
  if (settings.cors !== undefined) checkCors(settings.cors, of);
  for (const { name } of settings.protocols) {
    if (settings.protocols.filter((other) => other.name === name).length > 1) {
      throw new TypeError(`${of}: protocols has ${name} more than once`);
    }
  }
  return settings;
}

function checkCors(cors: CorsOptions, of: string): void {
  const { origins, credentials, allowHeaders = [], exposeHeaders = [], maxAgeS = 0 } = cors;
  if (origins === "*") {
    if (credentials) throw new TypeError(`${of}: cors.credentials cannot go with origins "*": name the origins`);
  } else {
    for (const origin of origins) {
      const right = originOf(origin);
      if (right !== origin) {
        const hint = right === undefined ? "https://app.example" : right;
        throw new TypeError(
          `${of}: cors.origins has ${JSON.stringify(origin)}: write an origin as browsers do, ${hint}`,
        );
      }
    }
  }
  for (const [option, names] of Object.entries({ allowHeaders, exposeHeaders })) {
    for (const name of names) {
      if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
        throw new TypeError(`${of}: cors.${option} has ${JSON.stringify(name)}, which is no name of a header`);
      }
    }
  }
  if (!Number.isInteger(maxAgeS) || maxAgeS < 0) {
    throw new TypeError(`${of}: cors.maxAgeS must be a whole number of seconds, 0 or more, got ${maxAgeS}`);
  }
}

/** How browsers write the origin of an address; undefined when it has none that could be named. */
function originOf(address: string): string | undefined {
  const url = URL.parse(address);
  if (url === null || url.host === "") return undefined;
  // URL knows an origin for the schemes of the web only; apps and extensions have their own (`app://name`).
  return url.origin === "null" ? `${url.protocol}//${url.host}` : url.origin;
}
