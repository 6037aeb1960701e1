import type { Clock } from "../../../clock/clock.ts";
import { systemClock } from "../../../clock/system-clock.ts";
import type { Middleware } from "../../../endpoint/endpoint.ts";
import type { HttpProtocol } from "../../../endpoint/http-protocol.ts";
import type { ErrorReporter } from "../../../endpoint/report.ts";
import type { Service } from "../../../endpoint/service.ts";
import type { TelemetryPort } from "../../../endpoint/telemetry-port.ts";
import { checkPositive, pick } from "../../../errors/check-positive.ts";
import { type HttpServerOptions, type HttpServerSettings, settle } from "../options.ts";

/** What of the HTTP server may be set here; `compressMinBytes` is `false` by default, since API Gateway and CloudFront compress themselves. */
type ServerOptions = Pick<
  HttpServerOptions,
  "maxBodyBytes" | "maxMessageBytes" | "timeoutMs" | "compressMinBytes" | "cors" | "hooks"
>;

/** Options of {@link lambda}. */
export interface LambdaOptions extends ServerOptions {
  /** What is served. */
  readonly serve: readonly Service[];
  /** Middlewares around every method of all that is served, the first outermost; outside of those given to `implement`. Default none. */
  readonly use?: readonly Middleware[];
  /** Further protocols, asked in this order before Connect and REST: `[jsonRpc()]`. Default none. */
  readonly protocols?: readonly HttpProtocol[];
  /** What stands before all paths where a custom domain maps to this API under a base path: `/shop`. Default none. */
  readonly basePath?: string;
  /** How much earlier than the invocation a call must end, so that its answer gets out, milliseconds, 0 or more. Default 250. */
  readonly marginMs?: number;
  /** Largest answer as the platform takes it, bytes: JSON, with a body that is not text as base64. Default 6291556, the platform's own limit. */
  readonly maxResponseBytes?: number;
  /** Tracing, metrics and logs of all calls that are served: `telemetry()`. Flushed before each answer is given. Default none. */
  readonly telemetry?: TelemetryPort;
  /**
   * Awaited before each answer is given: what else must go out now, since the process is frozen until the next invocation. Default
   * nothing.
   */
  readonly flush?: () => Promise<void>;
  /** How long an answer waits for both flushes, milliseconds; less where the invocation ends before. Default 5000. */
  readonly flushTimeoutMs?: number;
  /** Told of failures whose cause the caller must not see. Default: the log of `telemetry`, else a JSON line to standard error. */
  readonly onError?: ErrorReporter;
  /** Default: the system's. */
  readonly clock?: Clock;
}

/** Options with every default filled in. */
export type LambdaSettings = Required<
  Pick<LambdaOptions, "serve" | "use" | "basePath" | "marginMs" | "maxResponseBytes" | "flushTimeoutMs" | "clock">
> &
  Pick<LambdaOptions, "telemetry" | "flush" | "onError"> & { readonly http: HttpServerSettings };

/** @throws TypeError naming the option that is not legal. */
export function settleLambda(options: LambdaOptions): LambdaSettings {
  const {
    maxBodyBytes,
    maxMessageBytes,
    timeoutMs,
    compressMinBytes = false,
    cors,
    hooks,
    protocols,
    ...rest
  } = options;
  const given = { maxBodyBytes, maxMessageBytes, timeoutMs, compressMinBytes, cors, hooks, protocols };
  const http = settle(
    Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as HttpServerOptions,
    "lambda",
  );
  const settings = {
    use: [],
    basePath: "",
    marginMs: 250,
    maxResponseBytes: 6_291_556,
    flushTimeoutMs: 5000,
    clock: systemClock,
    ...rest,
    http,
  };
  if (!Array.isArray(settings.serve)) throw new TypeError("lambda: serve must be a list of services");
  if (!/^(?:\/[\w\-.~!$&'()*+,;=:@%]+)*$/.test(settings.basePath)) {
    throw new TypeError(`lambda: basePath must look like /shop, got ${JSON.stringify(settings.basePath)}`);
  }
  if (!(settings.marginMs >= 0)) {
    throw new TypeError(`lambda: marginMs must be 0 or more milliseconds, got ${settings.marginMs}`);
  }
  checkPositive("lambda", pick(settings, ["maxResponseBytes", "flushTimeoutMs"]));
  return settings;
}
