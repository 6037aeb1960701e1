import type { MethodInfo } from "../../../endpoint/method-info.ts";
import { checkPositive, pick } from "../../../errors/check-positive.ts";

/** The name of a method on the wire, where it is not `package.Service.method`. */
export type MethodName = (method: MethodInfo) => string;

/** Options of {@link jsonRpc}. */
export interface JsonRpcOptions {
  /** Where it is served: a path of its own, to which requests are posted. Default `/rpc`. */
  readonly path?: string;
  /** Names for the methods in the place of `package.Service.method`: `({ name }) => name`. Unique, and none begins with `rpc.`. */
  readonly methodName?: MethodName;
  /** Largest body of a request, also after decompression, bytes. Default 4 MiB. */
  readonly maxBodyBytes?: number;
  /** Requests in one batch beyond which none of it is served. Default 100. */
  readonly maxBatch?: number;
  /** Requests of one batch that are served at a time. Default 16. */
  readonly batchConcurrency?: number;
  /** Answers of one batch, bytes in all, beyond which no more of it is served. Default 16 MiB. */
  readonly maxBatchBytes?: number;
  /** Calls in flight beyond which further ones are refused as `unavailable`. Default 10000. */
  readonly maxConcurrentRequests?: number;
  /**
   * How long a body may take to arrive, and what a call may take when neither its method nor its caller sets an earlier deadline,
   * milliseconds. Default 30000.
   */
  readonly timeoutMs?: number;
  /** Answers of at least so many bytes are compressed for peers that accept it; `false` never. Default 1024. */
  readonly compressMinBytes?: number | false;
}

/** Options with every default filled in. */
export type JsonRpcSettings = Required<JsonRpcOptions>;

const defaults = {
  path: "/rpc",
  methodName: dotted,
  maxBodyBytes: 4 * 1024 * 1024,
  maxBatch: 100,
  batchConcurrency: 16,
  maxBatchBytes: 16 * 1024 * 1024,
  maxConcurrentRequests: 10_000,
  timeoutMs: 30_000,
  compressMinBytes: 1024 as number | false,
} satisfies JsonRpcOptions;

/** `calc.v1.Calculator.sum`, as most servers of JSON-RPC name the methods of an object. */
export function dotted({ service, name }: MethodInfo): string {
  return `${service}.${name}`;
}

const positive = [
  "maxBodyBytes",
  "maxBatch",
  "batchConcurrency",
  "maxBatchBytes",
  "maxConcurrentRequests",
  "timeoutMs",
] as const;

/** @throws TypeError naming the option that is not legal. */
export function settle(options: JsonRpcOptions): JsonRpcSettings {
  const settings = { ...defaults, ...options };
  checkPath("jsonRpc", settings.path);
  checkPositive("jsonRpc", pick(settings, positive));
  const { compressMinBytes } = settings;
  if (compressMinBytes !== false && !(compressMinBytes >= 0)) {
    throw new TypeError(
      `jsonRpc: compressMinBytes must be false, or a number of bytes, got ${String(compressMinBytes)}`,
    );
  }
  return settings;
}

/** @throws TypeError when it is no path of a URL. */
export function checkPath(of: string, path: string): void {
  if (!/^\/[\w\-.~!$&'()*+,;=:@%/]*$/.test(path)) {
    throw new TypeError(`${of}: path must be the path of a URL, such as /rpc, got ${JSON.stringify(path)}`);
  }
}
