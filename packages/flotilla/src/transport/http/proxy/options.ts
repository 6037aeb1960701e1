import { chain, type Endpoint, type Middleware } from "../../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../../endpoint/method-info.ts";
import { checkPositive, pick } from "../../../errors/check-positive.ts";
import { prefixOf, wanders } from "./target.ts";

/** Options of {@link proxy}. */
export interface ProxyOptions {
  /** The way to the upstreams: a `channel` whose transport is `proxyClient()`. It is not closed with the proxy. */
  readonly over: { endpoint(method: MethodInfo): Endpoint };
  /** The service whose instances requests go to; what discovery, logs and metrics know it by. Default `upstream`. */
  readonly service?: string;
  /**
   * Requests for this path and all below it are taken, before the services of the listener are asked. Default `/`: all requests that
   * nothing else is served for.
   */
  readonly path?: string;
  /** What stands upstream in the place of `path`: `/` cuts it off. Default: paths stay as they are. */
  readonly rewrite?: string;
  /** Whether the upstream sees the `Host` that the client asked for (`keep`) or its own (`upstream`). Default `keep`. */
  readonly host?: "keep" | "upstream";
  /**
   * Whether to believe what requests say of where they came from (`Forwarded`, `X-Forwarded-*`, `X-Real-IP`): if so it is gone on with, else
   * replaced. Only for what a proxy of yours has set; a function is asked with the address of the peer. Default false.
   */
  readonly trustForwarded?: boolean | ((peer: string) => boolean);
  /** The name to go by in `Via`, which also tells when requests go in circles. Default `flotilla`. */
  readonly via?: string;
  /**
   * Whether connections may change to the WebSocket protocol (HTTP/1.1), to be carried from then on as they are; no other protocol is. Else such
   * requests are refused. Default true.
   */
  readonly websockets?: boolean;
  /** Middlewares around every request, the first outermost; for them a request is a call of `service/VERB` whose answer is a stream. Default none. */
  readonly use?: readonly Middleware[];
  /** How long nothing may move either way, milliseconds, the wait for an answer included. Long polls and quiet streams need more. Default 60000. */
  readonly idleTimeoutMs?: number;
  /**
   * What a request may take in all when the client sets no earlier deadline, milliseconds. An answer that has begun by then may go on for a second, so that it ends
   * as the upstream ends it. Default Infinity.
   */
  readonly timeoutMs?: number;
  /** Requests in flight beyond which further ones are refused. Default 10000. */
  readonly maxConcurrentRequests?: number;
}

/** Options with every default filled in. */
export interface ProxySettings {
  readonly service: string;
  /** Without a slash at its end; empty for all paths. */
  readonly prefix: string;
  /** The same of what stands in its place. */
  readonly rewrite: string;
  readonly host: "keep" | "upstream";
  readonly trusts: (peer: string) => boolean;
  readonly via: string;
  readonly websockets: boolean;
  readonly around: Middleware;
  readonly idleTimeoutMs: number;
  readonly timeoutMs: number;
  readonly maxConcurrentRequests: number;
}

const defaults = {
  service: "upstream",
  path: "/",
  host: "keep",
  trustForwarded: false,
  via: "flotilla",
  websockets: true,
  idleTimeoutMs: 60_000,
  timeoutMs: Infinity,
  maxConcurrentRequests: 10_000,
} satisfies Omit<ProxyOptions, "over">;

/** @throws TypeError naming the option that is not legal. */
export function settle(options: ProxyOptions): ProxySettings {
  const { path, rewrite = path, trustForwarded, use = [], ...rest } = { ...defaults, ...options };
  for (const [name, value] of Object.entries({ path, rewrite })) {
    if (!value.startsWith("/") || /[?#\s]/.test(value) || wanders(value)) {
      throw new TypeError(`proxy: ${name} must be a path like /orders, got ${JSON.stringify(value)}`);
    }
  }
  if (rest.host !== "keep" && rest.host !== "upstream") {
    throw new TypeError(`proxy: host must be "keep" or "upstream", got ${JSON.stringify(rest.host)}`);
  }
  if (!/^[\w!#$%&'*+.^`|~-]+$/.test(rest.via)) {
    throw new TypeError(`proxy: via must be a name without spaces, got ${JSON.stringify(rest.via)}`);
  }
  checkPositive("proxy", pick(rest, ["idleTimeoutMs", "timeoutMs", "maxConcurrentRequests"]));
  const trusts = typeof trustForwarded === "function" ? trustForwarded : () => trustForwarded;
  return {
    ...rest,
    prefix: prefixOf(path),
    rewrite: prefixOf(rewrite),
    trusts,
    around: chain(...use),
  };
}
