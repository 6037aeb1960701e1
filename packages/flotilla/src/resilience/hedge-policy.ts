import type { Measure, Policy, PolicyMetric } from "../endpoint/policy.ts";

const SENT: PolicyMetric = {
  name: "flotilla.hedge.sent",
  kind: "counter",
  unit: "{attempt}",
  description: "Attempts sent while the one before had no answer yet, or because it had failed.",
};
const WON: PolicyMetric = {
  name: "flotilla.hedge.won",
  kind: "counter",
  unit: "{call}",
  description: "Calls that a further attempt has answered.",
};
const GIVEN_UP: PolicyMetric = {
  name: "flotilla.hedge.given_up",
  kind: "counter",
  unit: "{attempt}",
  description: "Attempts that were not sent because the budget was used up.",
};

/** What became of the hedges of one service. */
export class HedgeCounts {
  sent = 0;
  won = 0;
  givenUp = 0;
}

/** What hedges tell of themselves, a service at a time. */
export class HedgePolicy implements Policy {
  readonly name = "hedge";
  readonly metrics = [SENT, WON, GIVEN_UP];
  readonly #services = new Map<string, HedgeCounts>();

  of(service: string): HedgeCounts {
    let counts = this.#services.get(service);
    if (counts === undefined) this.#services.set(service, (counts = new HedgeCounts()));
    return counts;
  }

  measure(to: Measure): void {
    for (const [service, { sent, won, givenUp }] of this.#services) {
      const about = { "rpc.service": service };
      to(SENT, sent, about);
      to(WON, won, about);
      to(GIVEN_UP, givenUp, about);
    }
  }

  describe(): readonly Readonly<Record<string, unknown>>[] {
    return Array.from(this.#services, ([service, { sent, won, givenUp }]) => {
      return { service, sent, won, givenUp };
    });
  }
}
