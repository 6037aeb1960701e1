import type { Random } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { Avoided, Balancer, BalancerFactory, Candidate } from "./balancer.ts";
import { Draw } from "./draw.ts";

class WeightedRandom<C extends Candidate> implements Balancer<C> {
  readonly #draw: Draw<C>;

  constructor(random: Random) {
    this.#draw = new Draw(random);
  }

  update(candidates: readonly C[]): void {
    this.#draw.update(candidates);
  }

  pick(_ctx: Context, tried?: Avoided<C>): C | undefined {
    return this.#draw.candidates[this.#draw.one(tried)];
  }
}

/**
 * By chance, in proportion to `instance.weight` (default 1). Needs no state, so many clients spread evenly without
 * knowing of each other. A pick takes constant time whatever the weights; an update takes time in proportion to the list.
 *
 * Algorithm: the alias method (Vose, "A linear algorithm for generating random numbers with a given distribution", 1991).
 */
export function random(): BalancerFactory {
  return (deps) => new WeightedRandom(deps.random);
}
