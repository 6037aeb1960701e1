import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";
import type { Context } from "../../context/context.ts";
import { withoutCancel, withTimeout, withValue } from "../../context/with.ts";
import { type Endpoint, type Middleware, withPolicies } from "../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { outgoingCallKey } from "../../endpoint/observer.ts";
import { responseObserver, withResponseObserver } from "../../metadata/call.ts";
import { Metadata } from "../../metadata/metadata.ts";
import { isFailure } from "../failure.ts";
import { CachePolicy, type CacheState } from "./cache-policy.ts";
import { type CallKeyOptions, callKeyOf } from "./call-key.ts";
import { freshnessOf } from "./freshness.ts";
import { jsonSize, Shelf } from "./shelf.ts";

/** Options of {@link responseCache}. */
export interface ResponseCacheOptions extends CallKeyOptions {
  /** How long an answer is given again whose server does not say, milliseconds, 0 or more. */
  readonly ttlMs: number;
  /** For so long after that it is still given, while a new one is fetched, milliseconds. Default 0. */
  readonly staleMs?: number;
  /** For so long after `ttlMs` it is given when a new one cannot be had, milliseconds. Default 0. */
  readonly staleIfErrorMs?: number;
  /** Answers that are kept, of all methods. 1 or more. Default 1000. */
  readonly maxEntries?: number;
  /** What they may take together, bytes of their JSON. Above 0. Default 16 MiB. */
  readonly maxBytes?: number;
  /** Which methods are meant; only unary ones that are idempotent can be. Default: those that are `safe`, which change nothing. */
  readonly methods?: (method: MethodInfo) => boolean;
  readonly clock?: Clock;
}

/** A middleware that tells how it stands, and forgets when told to. */
export interface ResponseCache extends Middleware {
  readonly state: CacheState;
  /** Forgets everything. */
  clear(): void;
}

interface Answer<Res = unknown> {
  readonly response: Res;
  readonly headers: Metadata | undefined;
  readonly trailers: Metadata | undefined;
  readonly storedMs: number;
  readonly freshMs: number;
  refreshing: boolean;
}

/** A refresh that nobody waits for may take so long, milliseconds, unless the method has a time of its own. */
const REFRESH_MS = 10_000;

/**
 * Gives the answer of an earlier call that asked the same. The least recently used goes when there are too many. Failures are not
 * kept. All are given the same object, so it must not be changed.
 *
 * A server that sends `cache-control` is obeyed: `max-age` counts instead of `ttlMs`, and what is `no-store` or `no-cache` is not
 * kept (RFC 9111; `staleMs` and `staleIfErrorMs` are those of RFC 5861). Answers from the cache carry their `age`.
 *
 * ```ts
 * client(Catalogue, { discover, use: [responseCache({ ttlMs: 5000, staleIfErrorMs: 600_000 }), singleFlight()] })
 * ```
 *
 * With `singleFlight` inside, calls that miss together are one. Around a service (`implement`) it stands inside of what decides who
 * may call; headers that handlers set are not kept there.
 *
 * @throws RangeError or TypeError when an option is not legal, naming it.
 */
export function responseCache(options: ResponseCacheOptions): ResponseCache {
  const { ttlMs, staleMs = 0, staleIfErrorMs = 0, maxEntries = 1000, maxBytes = 16 * 2 ** 20 } = options;
  const { methods = (method) => method.safe, clock = systemClock } = options;
  const atLeast0 = { ttlMs, staleMs, staleIfErrorMs };
  for (const [name, ms] of Object.entries(atLeast0)) {
    if (!(ms >= 0)) throw new RangeError(`responseCache: ${name} must be 0 or more, got ${ms}`);
  }
  if (!(maxEntries >= 1)) throw new RangeError(`responseCache: maxEntries must be 1 or more, got ${maxEntries}`);
  if (!(maxBytes > 0)) throw new RangeError(`responseCache: maxBytes must be above 0, got ${maxBytes}`);
  const keyOf = callKeyOf("responseCache", options);
  const shelf = new Shelf<Answer>(maxEntries, maxBytes);
  const counts = { hits: 0, stale: 0, misses: 0, failedRefreshes: 0 };

  const middleware = <Req, Res>(next: Endpoint<Req, Res>, method: MethodInfo): Endpoint<Req, Res> => {
    if (method.kind !== "unary" || !method.idempotent || !methods(method)) return next;

    async function fetch(ctx: Context, request: Req, key: string): Promise<Res> {
      let headers: Metadata | undefined;
      let trailers: Metadata | undefined;
      const observed = withResponseObserver(ctx, (head, tail) => {
        headers = head;
        trailers = tail;
        responseObserver(ctx)?.(head, tail);
      });
      const response = await next(observed, request);
      const freshMs = freshnessOf(headers?.get("cache-control")) ?? ttlMs;
      const size = freshMs >= 0 ? jsonSize(method, response) : undefined;
      const answer: Answer = { response, headers, trailers, storedMs: clock.now(), freshMs, refreshing: false };
      if (size === undefined) shelf.delete(key);
      else shelf.put(key, answer, size + key.length);
      return response;
    }

    function give(ctx: Context, answer: Answer<Res>, ageMs: number): Promise<Res> {
      counts.hits++;
      if (answer.headers !== undefined) responseObserver(ctx)?.(withAge(answer.headers, ageMs), answer.trailers!);
      return Promise.resolve(answer.response);
    }

    /** Fetches a new answer that nobody waits for. */
    function refresh(ctx: Context, request: Req, key: string, answer: Answer<Res>): void {
      if (answer.refreshing) return;
      answer.refreshing = true;
      // The call it is made for is over before.
      const alone = withValue(withoutCancel(ctx), outgoingCallKey, undefined);
      const scope = withTimeout(alone, method.timeoutMs ?? REFRESH_MS);
      fetch(scope, request, key)
        .catch(() => counts.failedRefreshes++)
        .finally(() => {
          answer.refreshing = false;
          scope.cancel();
        });
    }

    async function fetchOrGive(ctx: Context, request: Req, key: string, stale: Answer<Res>): Promise<Res> {
      try {
        return await fetch(ctx, request, key);
      } catch (error) {
        if (ctx.err !== undefined || !isFailure(error)) throw error;
        counts.stale++;
        return give(ctx, stale, clock.now() - stale.storedMs);
      }
    }

    return function cached(ctx, request) {
      if (ctx.err !== undefined) return Promise.reject(ctx.err);
      const given = keyOf(ctx, request, method);
      if (given === undefined) return next(ctx, request);
      const key = `${method.procedure} ${given}`;
      const answer = shelf.get(key) as Answer<Res> | undefined;
      const ageMs = answer === undefined ? 0 : clock.now() - answer.storedMs;
      const overMs = answer === undefined ? Infinity : ageMs - answer.freshMs;
      if (overMs < 0) return give(ctx, answer!, ageMs);
      if (overMs < staleMs) {
        counts.stale++;
        refresh(ctx, request, key, answer!);
        return give(ctx, answer!, ageMs);
      }
      counts.misses++;
      return overMs < staleIfErrorMs ? fetchOrGive(ctx, request, key, answer!) : fetch(ctx, request, key);
    };
  };
  const state = (): CacheState => ({
    entries: shelf.size,
    bytes: shelf.bytes,
    evicted: shelf.evicted,
    ...counts,
  });
  const cache = Object.defineProperties(middleware, {
    state: { get: state },
    clear: { value: () => shelf.clear() },
  }) as unknown as ResponseCache;
  return withPolicies(cache, [new CachePolicy(state)]);
}

/** A copy: the kept headers are given to others as well. */
function withAge(headers: Metadata, ageMs: number): Metadata {
  const copy = new Metadata();
  for (const [name, value] of headers.entries()) copy.append(name, value);
  copy.set("age", String(Math.floor(ageMs / 1000)));
  return copy;
}
