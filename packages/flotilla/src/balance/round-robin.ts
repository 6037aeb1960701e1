import { type Random, randomInt } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { Avoided, Balancer, BalancerFactory, Candidate } from "./balancer.ts";

/** After so many neighbours that vanished at once, where the cycle goes on no longer matters. */
const MAX_SOUGHT = 8;

class RoundRobin<C extends Candidate> implements Balancer<C> {
  readonly #random: Random;
  #candidates: readonly C[] = [];
  // Index of the next one; meaningful while there are candidates.
  #next = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  update(candidates: readonly C[]): void {
    const fresh = candidates.slice();
    this.#next = this.#candidates.length === 0 ? randomInt(this.#random, fresh.length) : this.#goOn(fresh);
    this.#candidates = fresh;
  }

  pick(_ctx: Context, tried?: Avoided<C>): C | undefined {
    const candidates = this.#candidates;
    if (candidates.length === 0) return undefined;
    let index = this.#next;
    if (tried !== undefined) {
      // Once around, all have been tried and the next one is as good as any.
      let steps = 0;
      while (tried.has(candidates[index]!) && ++steps <= candidates.length) index = (index + 1) % candidates.length;
    }
    this.#next = index + 1 === candidates.length ? 0 : index + 1;
    return candidates[index];
  }

  /** Where the cycle goes on in the new list: at the one whose turn it was, or the first after it that is still there. */
  #goOn(fresh: readonly C[]): number {
    const old = this.#candidates;
    for (let i = 0; i < MAX_SOUGHT && i < old.length; i++) {
      const index = fresh.indexOf(old[(this.#next + i) % old.length]!);
      if (index >= 0) return index;
    }
    return randomInt(this.#random, fresh.length);
  }
}

/**
 * Each in turn: over a full cycle every candidate is picked exactly once. The start is random, so that many clients do not
 * all begin at the same instance; an update goes on where the cycle was. Weights are not heeded, for
 * exactly once is the point of it: use `weightedRoundRobin()` where instances have weights.
 */
export function roundRobin(): BalancerFactory {
  return ({ random }) => new RoundRobin(random);
}
