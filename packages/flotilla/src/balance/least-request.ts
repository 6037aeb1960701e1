import { type Random, randomInt } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { Balancer, BalancerFactory, Candidate } from "./balancer.ts";
import { drawUntried } from "./draw.ts";

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
    const candidates = this.#candidates;
    const n = candidates.length;
    if (tried !== undefined && tried.size > 0) {
      const first = drawUntried(this.#random, candidates, tried, undefined);
      // None is left: pick as if none had been tried.
      if (first !== undefined) return lessLoaded(first, drawUntried(this.#random, candidates, tried, first) ?? first);
    }
    if (n < 2) return candidates[0];
    const i = randomInt(this.#random, n);
    const j = randomInt(this.#random, n - 1);
    return lessLoaded(candidates[i]!, candidates[j < i ? j : j + 1]!);
  }
}

/** Which of the two was drawn first is chance already, so a tie goes to the first. */
function lessLoaded<C extends Candidate>(first: C, second: C): C {
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
