import type { Policy, PolicyAttributes, PolicyMetric } from "../../endpoint/policy.ts";

/** Series of all counters together; what is more is not told. */
const MAX_SERIES = 10_000;

/** A counter as it stands. */
export interface CounterTotal {
  readonly metric: PolicyMetric;
  readonly attributes: PolicyAttributes;
  value: number;
}

/**
 * Adds up what policies have counted. Policies come and go (one an instance, say), counters must not: each total grows by what is new
 * since the policy was last seen, and keeps what those counted that are gone.
 */
export class CounterTotals {
  readonly #totals = new Map<string, CounterTotal>();
  /** What was seen of each policy, by series. */
  readonly #seen = new WeakMap<Policy, Map<string, number>>();

  /** @param value - counted since the policy was made. */
  see(policy: Policy, metric: PolicyMetric, value: number, attributes: PolicyAttributes): void {
    const key = `${metric.name} ${JSON.stringify(attributes)}`;
    let total = this.#totals.get(key);
    if (total === undefined) {
      if (this.#totals.size >= MAX_SERIES) return;
      this.#totals.set(key, (total = { metric, attributes, value: 0 }));
    }
    let seen = this.#seen.get(policy);
    if (seen === undefined) this.#seen.set(policy, (seen = new Map()));
    const grown = value - (seen.get(key) ?? 0);
    if (!(grown > 0)) return;
    total.value += grown;
    seen.set(key, value);
  }

  values(): Iterable<CounterTotal> {
    return this.#totals.values();
  }
}
