import type { Measure, Policy, PolicyMetric } from "../../endpoint/policy.ts";

/** How a cache stands. */
export interface CacheState {
  readonly entries: number;
  readonly bytes: number;
  /** Calls answered from it. */
  readonly hits: number;
  /** Of them, those whose answer was past its time. */
  readonly stale: number;
  /** Calls that waited for the service, whether it had an answer or not. */
  readonly misses: number;
  /** Answers that were driven out before their time. */
  readonly evicted: number;
  /** Stale answers for which, behind the caller's back, no new one could be had. */
  readonly failedRefreshes: number;
}

const CALLS: PolicyMetric = {
  name: "flotilla.cache.calls",
  kind: "counter",
  unit: "{call}",
  description: "Calls by whether the response cache had an answer.",
};
const ENTRIES: PolicyMetric = {
  name: "flotilla.cache.entries",
  kind: "sum",
  unit: "{entry}",
  description: "Answers that response caches keep.",
};
const SIZE: PolicyMetric = {
  name: "flotilla.cache.size",
  kind: "sum",
  unit: "By",
  description: "What the answers kept take as JSON.",
};
const EVICTED: PolicyMetric = {
  name: "flotilla.cache.evicted",
  kind: "counter",
  unit: "{entry}",
  description: "Answers that were driven out of a cache before their time.",
};
const FAILED: PolicyMetric = {
  name: "flotilla.cache.failed_refreshes",
  kind: "counter",
  unit: "{call}",
  description: "Stale answers for which no new one could be had.",
};

/** What a response cache tells of itself. */
export class CachePolicy implements Policy {
  readonly name = "response_cache";
  readonly metrics = [CALLS, ENTRIES, SIZE, EVICTED, FAILED];
  readonly #state: () => CacheState;

  constructor(state: () => CacheState) {
    this.#state = state;
  }

  measure(to: Measure): void {
    const { hits, stale, misses, entries, bytes, evicted, failedRefreshes } = this.#state();
    to(CALLS, hits - stale, { outcome: "hit" });
    to(CALLS, stale, { outcome: "stale" });
    to(CALLS, misses, { outcome: "miss" });
    to(ENTRIES, entries);
    to(SIZE, bytes);
    to(EVICTED, evicted);
    to(FAILED, failedRefreshes);
  }

  describe(): readonly Readonly<Record<string, unknown>>[] {
    return [{ ...this.#state() }];
  }
}
