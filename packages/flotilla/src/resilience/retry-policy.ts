import type { Measure, Policy, PolicyMetric } from "../endpoint/policy.ts";
import type { RetryBudget } from "./retry-budget.ts";

const ATTEMPTS: PolicyMetric = {
  name: "flotilla.retry.attempts",
  kind: "counter",
  unit: "{attempt}",
  description: "Attempts made because the one before had failed.",
};
const GIVEN_UP: PolicyMetric = {
  name: "flotilla.retry.given_up",
  kind: "counter",
  unit: "{call}",
  description: "Calls that failed for a passing reason and were not tried again.",
};
const BUDGET: PolicyMetric = {
  name: "flotilla.retry.budget",
  kind: "least",
  unit: "{attempt}",
  description: "Further attempts that may be made now, hedges included.",
};

/** Why a call is not tried again that could be: the budget is used up, its time is, or it has been tried as often as may be. */
export const givenUp = ["budget", "deadline", "attempts"] as const;

/** What became of the retries of one service. */
export class RetryCounts {
  attempts = 0;
  readonly givenUp: Record<(typeof givenUp)[number], number> = { budget: 0, deadline: 0, attempts: 0 };
}

/** What retries tell of themselves, a service at a time. */
export class RetryPolicy implements Policy {
  readonly name = "retry";
  readonly metrics = [ATTEMPTS, GIVEN_UP, BUDGET];
  readonly #services = new Map<string, { readonly counts: RetryCounts; readonly budget: RetryBudget }>();

  /** The counts of a service, which is charged to this budget. */
  of(service: string, budget: RetryBudget): RetryCounts {
    let known = this.#services.get(service);
    if (known === undefined) this.#services.set(service, (known = { counts: new RetryCounts(), budget }));
    return known.counts;
  }

  measure(to: Measure): void {
    for (const [service, { counts, budget }] of this.#services) {
      const about = { "rpc.service": service };
      to(ATTEMPTS, counts.attempts, about);
      for (const reason of givenUp) to(GIVEN_UP, counts.givenUp[reason], { ...about, reason });
      to(BUDGET, budget.balance, about);
    }
  }

  describe(): readonly Readonly<Record<string, unknown>>[] {
    return Array.from(this.#services, ([service, { counts, budget }]) => {
      return { service, attempts: counts.attempts, givenUp: counts.givenUp, budget: budget.balance };
    });
  }
}
