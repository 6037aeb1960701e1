import { inspect } from "node:util";
import { Changes, type Measure, type Policy, type PolicyMetric } from "flotilla/endpoint";

const LOST: PolicyMetric = {
  name: "flotilla.redis_limiter.lost",
  kind: "sum",
  unit: "{limiter}",
  description: "Rate limiters that have lost their Redis.",
};
const WITHOUT: PolicyMetric = {
  name: "flotilla.redis_limiter.without_redis",
  kind: "counter",
  unit: "{decision}",
  description: "Decisions of rate limiters that were made without Redis.",
};

/** What the policy looks at. */
interface Watched {
  readonly limit: number;
  readonly windowMs: number;
  readonly burst: number;
  readonly state: "connected" | "lost";
  readonly withoutRedis: number;
  readonly lastError: unknown;
}

/** What a limiter tells of itself. */
export class RedisPolicy implements Policy {
  readonly name = "redis_rate_limiter";
  readonly metrics = [LOST, WITHOUT];
  readonly #limiter: Watched;
  readonly #changes = new Changes();
  readonly listen = this.#changes.listen;

  constructor(limiter: Watched) {
    this.#limiter = limiter;
  }

  measure(to: Measure): void {
    const { state, withoutRedis } = this.#limiter;
    to(LOST, state === "lost" ? 1 : 0);
    to(WITHOUT, withoutRedis);
  }

  describe(): readonly Readonly<Record<string, unknown>>[] {
    const { limit, windowMs, burst, state, withoutRedis } = this.#limiter;
    return [{ limit, windowMs, burst, state, withoutRedis, lastError: this.#lastError }];
  }

  changed(state: Watched["state"]): void {
    if (state === "connected") this.#changes.notice("rate limits are decided by Redis again");
    else this.#changes.warn(`rate limits are decided without Redis: ${this.#lastError ?? "it is not connected"}`);
  }

  get #lastError(): string | undefined {
    const { lastError } = this.#limiter;
    if (lastError === undefined) return undefined;
    return lastError instanceof Error ? lastError.message : inspect(lastError);
  }
}
