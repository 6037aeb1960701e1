/** A number that a policy keeps, as metrics tell of it. */
export interface PolicyMetric {
  /** `flotilla.circuit_breaker.refused`. */
  readonly name: string;
  /**
   * `counter`: only grows. `sum`: goes up and down; where several policies tell of the same, they are added up. `least` and `greatest`:
   * goes up and down; of several that one counts.
   */
  readonly kind: "counter" | "sum" | "least" | "greatest";
  /** As UCUM has it: `{call}`, `By`, `1`. */
  readonly unit: string;
  readonly description: string;
}

/** What a number is about: values of a bounded set, such as names of methods; never what a caller sends. */
export type PolicyAttributes = Readonly<Record<string, string>>;

/** Takes down one number. A `counter` is told as it stands, counted since the policy was made. */
export type Measure = (metric: PolicyMetric, value: number, attributes?: PolicyAttributes) => void;

/** A change that whoever looks after a system wants to read of. */
export interface PolicyChange {
  /** `warning` when something is wrong, `notice` when it is well again. */
  readonly level: "warning" | "notice";
  readonly message: string;
}

/**
 * What a middleware tells of itself: numbers for metrics, words for the page `/state` of the admin port, changes for the log. A
 * middleware that has something to tell carries it (`Middleware.policies`); hosts and channels see to the rest.
 */
export interface Policy {
  /** What it is: `circuit_breaker`. */
  readonly name: string;
  /** All that `measure` may tell of. */
  readonly metrics: readonly PolicyMetric[];
  /** Tells its numbers. Called when metrics are collected; must not throw. */
  measure(to: Measure): void;
  /** How it stands, one record for each thing it keeps apart, of what has a form in JSON. Must not throw. */
  describe(): readonly Readonly<Record<string, unknown>>[];
  /** Has the listener told of each change. @returns what ends that. */
  listen?(listener: (change: PolicyChange) => void): () => void;
}
