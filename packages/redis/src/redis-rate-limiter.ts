import { type Clock, type Random, systemClock, systemRandom } from "flotilla/clock";
import {
  type Decision,
  gcra,
  type LocalRateLimiter,
  type RateLimiter,
  type RateLimiterOptions,
} from "flotilla/resilience";
import { Circuit } from "./circuit.ts";
import { gcraScript, gcraSha } from "./gcra-script.ts";
import { ownClient } from "./own-client.ts";
import { RedisPolicy } from "./redis-policy.ts";
import { type RedisScripts, runScript } from "./redis-scripts.ts";

/** Options of {@link redisRateLimiter}: where Redis is, what is admitted, and what holds while Redis is lost. */
export interface RedisRateLimiterOptions extends Omit<RateLimiterOptions, "clock"> {
  /**
   * The client to use; it stays the caller's, to connect, to listen to for errors, and to close. A cluster is fine: a decision
   * touches one key. Either this or `url` must be given.
   */
  readonly client?: RedisScripts;
  /** Where Redis is: `redis://user:password@host:6379/0`, or `rediss://` for TLS. The limiter then has a client of its own; `close` closes it. */
  readonly url?: string;
  /** What the names of keys in Redis begin with. Limiters with the same prefix share their keys. Default `flotilla:rate:`. */
  readonly prefix?: string;
  /**
   * How it is decided while Redis does not answer.
   *
   * - `local` (the default): by a limiter of this process, which admits `localShare` of the limit. Nothing is refused that would not
   *   be anyway if traffic is even, and nothing is flooded. What was taken before, in Redis, is not known to it.
   * - `open`: everything is admitted. For limits that are about fairness or billing, not about survival.
   * - `closed`: nothing is admitted. For limits whose breach costs more than an outage (attempts at passwords).
   */
  readonly onLoss?: "local" | "open" | "closed";
  /**
   * The share of the limit that this process admits while Redis is lost, above 0 to 1: one divided by the number of
   * processes keeps the whole to the limit. Default 1: every process admits the whole limit.
   */
  readonly localShare?: number;
  /** How long a decision may wait for Redis, milliseconds, above 0. Default 10. */
  readonly timeoutMs?: number;
  /** Told when Redis is lost, with the reason, and when it is back. Must not throw. */
  readonly onChange?: (state: RedisState, reason: unknown) => void;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Whether Redis decides. */
export type RedisState = "connected" | "lost";

/** A rate limiter that all processes with the same Redis share. */
export interface RedisRateLimiter extends RateLimiter {
  /** Whether Redis decides now. While it is `lost` decisions are made as `onLoss` says. */
  readonly state: RedisState;
  /** Decisions that were made without Redis so far. */
  readonly withoutRedis: number;
  /** What Redis last failed with; undefined when it never did. */
  readonly lastError: unknown;
  /** Closes the client, if it is the limiter's own. Decisions are then made as if Redis were lost. Idempotent. */
  close(): Promise<void>;
}

const DEFAULT_PREFIX = "flotilla:rate:";
const DEFAULT_TIMEOUT_MS = 10;
/** A timer that fires so much too late says that the event loop stood still. */
const HELD_UP_MS = 3;
/** So many microseconds later than worked out: Redis's clock counts whole ones, and rounds down. */
const TICK_US = 1;

class SharedRateLimiter implements RedisRateLimiter {
  readonly limit: number;
  readonly windowMs: number;
  readonly burst: number;
  withoutRedis = 0;
  readonly policies: readonly [RedisPolicy] = [new RedisPolicy(this)];
  #lastError: unknown = undefined;
  #state: RedisState = "connected";
  readonly #redis: RedisScripts;
  readonly #closeOwn: (() => Promise<void>) | undefined;
  #closing: Promise<void> | undefined = undefined;
  readonly #prefix: string;
  readonly #unitUs: number;
  readonly #toleranceUs: number;
  readonly #toleranceArg: string;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #circuit: Circuit;
  readonly #onLoss: "local" | "open" | "closed";
  readonly #local: LocalRateLimiter;
  readonly #onChange: RedisRateLimiterOptions["onChange"];

  constructor(options: RedisRateLimiterOptions) {
    const { client, url, prefix = DEFAULT_PREFIX, onLoss = "local", localShare = 1, onChange } = options;
    const { timeoutMs = DEFAULT_TIMEOUT_MS, clock = systemClock, random = systemRandom } = options;
    const { limit, windowMs, burst } = gcra(rateOf(options));
    if ((client === undefined) === (url === undefined)) {
      throw new TypeError("redisRateLimiter: either client or url must be given");
    }
    if (!["local", "open", "closed"].includes(onLoss)) {
      throw new TypeError(`redisRateLimiter: onLoss must be local, open or closed, got ${onLoss as string}`);
    }
    if (!(localShare > 0 && localShare <= 1)) {
      throw new RangeError(`redisRateLimiter: localShare must be above 0 and at most 1, got ${localShare}`);
    }
    if (!(timeoutMs > 0 && timeoutMs < Infinity)) {
      throw new RangeError(`redisRateLimiter: timeoutMs must be above 0 and finite, got ${timeoutMs}`);
    }
    this.limit = limit;
    this.windowMs = windowMs;
    this.burst = burst;
    this.#prefix = prefix;
    this.#unitUs = (windowMs * 1000) / limit;
    this.#toleranceUs = this.#unitUs * burst;
    // A millionth of a unit may be missing: what rounding takes from one who comes back when told to.
    this.#toleranceArg = String(this.#toleranceUs + this.#unitUs * 1e-6);
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
    this.#circuit = new Circuit(clock, random);
    this.#onLoss = onLoss;
    this.#local = gcra({
      limit: limit * localShare,
      windowMs,
      burst: Math.max(1, burst * localShare),
      clock,
      ...(options.maxKeys !== undefined && { maxKeys: options.maxKeys }),
    });
    this.#onChange = onChange;
    if (client !== undefined) {
      this.#redis = client;
      this.#closeOwn = undefined;
    } else {
      const own = ownClient(url!, random, (error) => {
        this.#lastError = error;
      });
      this.#redis = own.redis;
      this.#closeOwn = own.close;
    }
  }

  get state(): RedisState {
    return this.#circuit.closed && this.#redis.isReady !== false ? "connected" : "lost";
  }

  get lastError(): unknown {
    return this.#lastError;
  }

  take(key: string, cost = 1): Decision | Promise<Decision> {
    if (!(cost >= 0)) throw new RangeError(`cost must be 0 or more, got ${cost}`);
    if (cost > this.burst) {
      throw new RangeError(`a cost of ${cost} can never pass: the limiter's burst is ${this.burst}`);
    }
    const state = this.state;
    this.#changed(state);
    if (state === "connected") return this.#ask(key, cost);
    if (this.#redis.isReady !== false && this.#circuit.takeProbe()) this.#probe(key, cost);
    return this.#without(key, cost);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#closeOwn?.() ?? Promise.resolve());
  }

  /** Redis's decision, or that without it when it does not answer in time. */
  async #ask(key: string, cost: number): Promise<Decision> {
    try {
      const decision = await this.#send(key, cost);
      this.#circuit.succeeded();
      return decision;
    } catch (error) {
      this.#lastError = error;
      this.#circuit.failed();
      this.#changed(this.state);
      return this.#without(key, cost);
    }
  }

  /** Finds out whether Redis answers again with a request that is decided without it: nobody waits. */
  #probe(key: string, cost: number): void {
    this.#send(key, cost).then(
      () => {
        this.#circuit.succeeded();
        this.#changed(this.state);
      },
      (error: unknown) => {
        this.#lastError = error;
        this.#circuit.probeFailed();
      },
    );
  }

  #send(key: string, cost: number): Promise<Decision> {
    const input = { keys: [this.#prefix + key], arguments: [String(cost * this.#unitUs), this.#toleranceArg] };
    return new Promise((resolve, reject) => {
      let over = false;
      const giveUp = (): void => {
        over = true;
        reject(new Error(`Redis did not answer in ${this.#timeoutMs} ms`));
      };
      const dueMs = this.#clock.now() + this.#timeoutMs;
      let timer = this.#clock.schedule(this.#timeoutMs, () => {
        // A process that was held up itself may not have sent the question, or not read the answer: it waits once more.
        if (this.#clock.now() - dueMs > HELD_UP_MS) timer = this.#clock.schedule(this.#timeoutMs, giveUp);
        else giveUp();
      });
      runScript(this.#redis, gcraSha, gcraScript, input)
        .then((reply) => {
          timer.cancel();
          if (!over) resolve(this.#decision(reply, cost));
        })
        .catch((error: unknown) => {
          timer.cancel();
          reject(error);
        });
    });
  }

  #decision(reply: unknown, cost: number): Decision {
    const [taken, debt] = Array.isArray(reply) ? (reply as unknown[]) : [];
    const allowed = Number(taken) === 1;
    const debtUs = Number(debt);
    if (!(debtUs >= 0)) throw new Error("the script of the rate limiter returned what it never returns");
    const unitUs = this.#unitUs;
    return {
      allowed,
      limit: this.limit,
      remaining: Math.max(0, Math.floor((this.#toleranceUs - debtUs) / unitUs + 1e-6)),
      retryAfterMs: allowed ? 0 : (debtUs + cost * unitUs - this.#toleranceUs + TICK_US) / 1000,
      resetMs: debtUs / 1000,
    };
  }

  #without(key: string, cost: number): Decision {
    this.withoutRedis++;
    switch (this.#onLoss) {
      case "local":
        return this.#local.take(key, Math.min(cost, this.#local.burst));
      case "open":
        return { allowed: true, limit: this.limit, remaining: this.burst, retryAfterMs: 0, resetMs: 0 };
      case "closed": {
        const afterMs = this.#circuit.probeInMs;
        return { allowed: false, limit: this.limit, remaining: 0, retryAfterMs: afterMs, resetMs: afterMs };
      }
    }
  }

  #changed(state: RedisState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.policies[0].changed(state);
    this.#onChange?.(state, state === "lost" ? this.#lastError : undefined);
  }
}

/** The options that say what is admitted. */
function rateOf({ limit, windowMs, perSecond, burst, maxKeys }: RedisRateLimiterOptions): RateLimiterOptions {
  return {
    ...(limit !== undefined && { limit }),
    ...(windowMs !== undefined && { windowMs }),
    ...(perSecond !== undefined && { perSecond }),
    ...(burst !== undefined && { burst }),
    ...(maxKeys !== undefined && { maxKeys }),
  };
}

/**
 * A rate limiter whose keys are in Redis, so that all processes which use the same Redis and prefix admit the limit together. Each
 * decision is one script on one key, in one round trip, by Redis's own clock; keys expire by themselves. In any interval of t
 * milliseconds no key takes more than `burst + limit * t / windowMs` units, over all processes. Needs Redis 5 or later, or Valkey.
 *
 * Redis may fail. A decision waits for it no longer than `timeoutMs`; after three failures one after the other it is no longer
 * asked, but for a probe now and then for which nobody waits, and decisions are made at once as `onLoss` says. While its client has no
 * connection likewise. A Redis that comes back empty has forgotten what was taken: each key may take its burst once more.
 *
 * ```ts
 * const limiter = redisRateLimiter({ url: "redis://10.0.0.5:6379", limit: 100, windowMs: 60_000, localShare: 1 / 8 });
 * implement(Cargo, cargo, { use: [rateLimit({ limiter, key: byHeader("x-api-key") })] });
 * host({ …, close: [limiter] });
 * ```
 *
 * Algorithm: generic cell rate algorithm (ITU-T I.371, annex A, virtual scheduling), as `gcra` of flotilla/resilience.
 *
 * @throws RangeError or TypeError when an option is not legal, naming it.
 */
export function redisRateLimiter(options: RedisRateLimiterOptions): RedisRateLimiter {
  return new SharedRateLimiter(options);
}
