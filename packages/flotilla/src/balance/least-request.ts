import type { Random } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { Balancer, BalancerFactory, Candidate } from "./balancer.ts";
import { betterOfTwo } from "./two-choices.ts";

class LeastRequest<C extends Candidate> implements Balancer<C> {
  readonly #random: Random;
  #candidates: readonly C[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  update(candidates: readonly C[]): void {
    this.#candidates = candidates.slice();
  }

  pick(_ctx: Context, tried?: ReadonlySet<C>): C | undefined {
    return betterOfTwo(this.#random, this.#candidates, tried, lessLoaded);
  }
}

/** The one with fewer calls in flight from this client. */
export function lessLoaded<C extends Candidate>(first: C, second: C): C {
  return second.inFlight < first.inFlight ? second : first;
}

/**
 * The less loaded of two different candidates drawn by chance, by calls in flight from this client; ties go either way.
 * A slow instance is sent less without being starved, and clients that decide alike do not all run to the same one. Weights
 * are not heeded.
 *
 * Algorithm: power of two choices (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12(10),
 * 2001).
 */
export function leastRequest(): BalancerFactory {
  return ({ random }) => new LeastRequest(random);
}
