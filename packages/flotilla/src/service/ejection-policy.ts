import type { Ejected, EjectionOptions } from "../balance/ejection.ts";
import type { Clock } from "../clock/clock.ts";
import { Changes } from "../endpoint/changes.ts";
import type { Instance } from "../endpoint/instance.ts";
import type { Measure, Policy, PolicyMetric } from "../endpoint/policy.ts";

const OUT: PolicyMetric = {
  name: "flotilla.ejection.instances",
  kind: "sum",
  unit: "{instance}",
  description: "Instances that are out of the balance because they failed.",
};
const EJECTIONS: PolicyMetric = {
  name: "flotilla.ejection.ejections",
  kind: "counter",
  unit: "{ejection}",
  description: "Times that an instance was taken out of the balance.",
};

const rules = ["consecutive", "deviation", "failure_rate"] as const;

/** The ejections of one service. */
class Service {
  readonly counts: Record<Ejected["rule"], number> = { consecutive: 0, deviation: 0, failure_rate: 0 };
  /** Of those that are out, by id: how it came, and until when. */
  readonly known = new Map<string, Ejected & { readonly untilMs: number }>();
  /** Those that are out now. */
  out: () => readonly Instance[] = () => [];
}

/** What the ejections of a channel tell of themselves, a service at a time. */
export class EjectionPolicy implements Policy {
  readonly name = "ejection";
  readonly metrics = [OUT, EJECTIONS];
  readonly #clock: Clock;
  readonly #changes = new Changes();
  readonly listen = this.#changes.listen;
  readonly #services = new Map<string, Service>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The options of a service's ejection, which tell this policy, too. */
  optionsOf(service: string, options: EjectionOptions): EjectionOptions {
    const state = new Service();
    this.#services.set(service, state);
    return {
      ...options,
      onEject: (ejected) => {
        this.#ejected(service, state, ejected);
        options.onEject?.(ejected);
      },
      onReturn: (instance) => {
        this.#changes.notice(`${instance.address} of ${service} is back in the balance`);
        options.onReturn?.(instance);
      },
    };
  }

  /** Says where to ask which instances of a service are out. */
  ask(service: string, out: () => readonly Instance[]): void {
    const state = this.#services.get(service);
    if (state !== undefined) state.out = out;
  }

  #ejected(service: string, state: Service, ejected: Ejected): void {
    const { instance, rule, reason, forMs } = ejected;
    state.counts[rule]++;
    const out = new Set(state.out().map(({ id }) => id));
    for (const id of state.known.keys()) if (!out.has(id)) state.known.delete(id);
    state.known.set(instance.id, { ...ejected, untilMs: this.#clock.now() + forMs });
    this.#changes.warn(
      `${instance.address} of ${service} is out of the balance for ${(forMs / 1000).toFixed(1)} s: ${reason}`,
    );
  }

  measure(to: Measure): void {
    for (const [service, { counts, out }] of this.#services) {
      const about = { "rpc.service": service };
      to(OUT, out().length, about);
      for (const rule of rules) to(EJECTIONS, counts[rule], { ...about, "flotilla.ejection.rule": rule });
    }
  }

  describe(): readonly Readonly<Record<string, unknown>>[] {
    const nowMs = this.#clock.now();
    return Array.from(this.#services, ([service, { counts, known, out }]) => ({
      service,
      ejections: counts,
      out: out().map(({ id, address }) => {
        const { rule, reason, untilMs = nowMs } = known.get(id) ?? {};
        return { instance: address, rule, reason, returnsInMs: Math.max(0, untilMs - nowMs) };
      }),
    }));
  }
}
