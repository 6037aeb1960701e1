import { Changes } from "../../endpoint/changes.ts";
import type { Measure, Policy, PolicyMetric } from "../../endpoint/policy.ts";
import type { Breaker, BreakerState } from "./breaker.ts";

const BREAKERS: PolicyMetric = {
  name: "flotilla.circuit_breaker.breakers",
  kind: "sum",
  unit: "{breaker}",
  description: "Circuit breakers by the state they are in.",
};
const OPENINGS: PolicyMetric = {
  name: "flotilla.circuit_breaker.openings",
  kind: "counter",
  unit: "{opening}",
  description: "Times that circuit breakers have opened.",
};
const REFUSED: PolicyMetric = {
  name: "flotilla.circuit_breaker.refused",
  kind: "counter",
  unit: "{call}",
  description: "Calls that circuit breakers have refused.",
};

const states = ["closed", "open", "half_open"] as const;

/** What the breakers of one middleware tell of themselves. */
export class BreakerPolicy implements Policy {
  readonly name = "circuit_breaker";
  readonly metrics = [BREAKERS, OPENINGS, REFUSED];
  readonly #attribute: "rpc.method" | "rpc.service";
  readonly #breakers: ReadonlyMap<string, Breaker>;
  readonly #changes = new Changes();
  readonly listen = this.#changes.listen;
  /** Those that are not closed. */
  readonly #tripped = new Set<string>();

  /** @param breakers - by what they are around. */
  constructor(per: "method" | "service", breakers: ReadonlyMap<string, Breaker>) {
    this.#attribute = per === "method" ? "rpc.method" : "rpc.service";
    this.#breakers = breakers;
  }

  measure(to: Measure): void {
    for (const { state } of this.#breakers.values()) {
      const about = { [this.#attribute]: state.name };
      for (const each of states) {
        to(BREAKERS, each === state.state ? 1 : 0, { ...about, "flotilla.circuit_breaker.state": each });
      }
      to(OPENINGS, state.openings, about);
      to(REFUSED, state.refused, about);
    }
  }

  describe(): readonly Readonly<Record<string, unknown>>[] {
    return Array.from(this.#breakers.values(), ({ state }) => ({ ...state }));
  }

  /** A breaker has changed its state. That it opens again after a probe is no news. */
  changed({ name, state, reason, nextProbeMs = 0 }: BreakerState): void {
    if (state === "closed") {
      this.#tripped.delete(name);
      this.#changes.notice(`the circuit of ${name} is closed again`);
    } else if (state === "open" && !this.#tripped.has(name)) {
      this.#tripped.add(name);
      this.#changes.warn(`the circuit of ${name} opens: ${reason}; next probe in ${Math.ceil(nextProbeMs)} ms`);
    }
  }
}
