import type { Random } from "../clock/random.ts";
import type { InjectedProxyFault, ProxyFault, SettledProxyFault } from "./proxy-fault.ts";
import type { Acting } from "./proxy-lane.ts";
import type { ProxyLink } from "./proxy-link.ts";

/** A fault that strikes connections. */
export class LiveProxyFault implements InjectedProxyFault {
  readonly fault: ProxyFault;
  readonly settled: SettledProxyFault;
  hits = 0;
  readonly #random: Random;
  readonly #onHeal: () => Promise<void>;
  /** The connections it acts on. */
  readonly #acting = new Map<ProxyLink, Acting>();
  #healed: Promise<void> | undefined;

  constructor(fault: ProxyFault, settled: SettledProxyFault, random: Random, onHeal: () => Promise<void>) {
    this.fault = fault;
    this.settled = settled;
    this.#random = random;
    this.#onHeal = onHeal;
  }

  /** Acts on a connection from now on, if chance says so. */
  meet(link: ProxyLink): void {
    const { share } = this.settled;
    if (share < 1 && this.#random.next() >= share) return;
    let struck = false;
    const acting: Acting = {
      fault: this.settled,
      strike: () => {
        if (!struck) this.hits++;
        struck = true;
      },
    };
    this.#acting.set(link, acting);
    link.add(acting);
  }

  /** The connection is closed. */
  forget(link: ProxyLink): void {
    this.#acting.delete(link);
  }

  heal(): Promise<void> {
    if (this.#healed === undefined) {
      for (const [link, acting] of this.#acting) link.remove(acting);
      this.#acting.clear();
      this.#healed = this.#onHeal();
    }
    return this.#healed;
  }
}
