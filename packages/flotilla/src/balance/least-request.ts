import { type Random, randomInt } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { Balancer, BalancerFactory, Candidate } from "./balancer.ts";

/** So many draws may hit one that was tried before the list is looked through. */
const MAX_DRAWS = 8;

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
      const first = this.#drawUntried(tried, undefined);
      // None is left: pick as if none had been tried.
      if (first !== undefined) return lessLoaded(first, this.#drawUntried(tried, first) ?? first);
    }
    if (n < 2) return candidates[0];
    const i = randomInt(this.#random, n);
    const j = randomInt(this.#random, n - 1);
    return lessLoaded(candidates[i]!, candidates[j < i ? j : j + 1]!);
  }

  /** Any of those neither tried nor `except`, each with the same chance; undefined when there is none. */
  #drawUntried(tried: ReadonlySet<C>, except: C | undefined): C | undefined {
    const candidates = this.#candidates;
    if (candidates.length === 0) return undefined;
    for (let draws = 0; draws < MAX_DRAWS; draws++) {
      const candidate = candidates[randomInt(this.#random, candidates.length)]!;
      if (candidate !== except && !tried.has(candidate)) return candidate;
    }
    // Few are left, so the list is short or the luck bad: one pass, keeping the k-th with a chance of 1/k.
    let left = 0;
    let chosen: C | undefined;
    for (const candidate of candidates) {
      if (candidate === except || tried.has(candidate)) continue;
      if (randomInt(this.#random, ++left) === 0) chosen = candidate;
    }
    return chosen;
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
