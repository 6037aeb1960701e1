import type { Measure, Policy, PolicyMetric } from "../endpoint/policy.ts";

const PROBES: PolicyMetric = {
  name: "flotilla.client.probes",
  kind: "counter",
  unit: "{probe}",
  description: "How often instances were asked how busy they are.",
};

/** What the probes of a channel tell of themselves: how many there were, a service at a time, once there was one. */
export class ProbePolicy implements Policy {
  readonly name = "probes";
  readonly metrics = [PROBES];
  readonly #targets: ReadonlyMap<string, { readonly probes: number }>;

  /** @param targets - by service: those that send them. */
  constructor(targets: ReadonlyMap<string, { readonly probes: number }>) {
    this.#targets = targets;
  }

  measure(to: Measure): void {
    for (const [service, { probes }] of this.#targets) if (probes > 0) to(PROBES, probes, { "rpc.service": service });
  }

  describe(): readonly Readonly<Record<string, unknown>>[] {
    return Array.from(this.#targets, ([service, { probes }]) => ({ service, probes })).filter(
      ({ probes }) => probes > 0,
    );
  }
}
