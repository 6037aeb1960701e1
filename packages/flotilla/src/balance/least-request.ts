import type { Random } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { Avoided, Balancer, BalancerFactory, Candidate } from "./balancer.ts";
import { Draw } from "./draw.ts";
import { weightOf } from "./weight.ts";

class LeastRequest<C extends Candidate> implements Balancer<C> {
  readonly #draw: Draw<C>;

  constructor(random: Random) {
    this.#draw = new Draw(random);
  }

  update(candidates: readonly C[]): void {
    this.#draw.update(candidates);
  }

  pick(_ctx: Context, tried?: Avoided<C>): C | undefined {
    return lessLoadedOfTwo(this.#draw, tried);
  }
}

/** Of two drawn by chance the one with fewer calls in flight from this client for its weight; undefined when there is none. */
export function lessLoadedOfTwo<C extends Candidate>(draw: Draw<C>, tried: Avoided<C> | undefined): C | undefined {
  const place = draw.one(tried);
  if (place < 0) return undefined;
  const { candidates } = draw;
  const first = candidates[place]!;
  const second = candidates[draw.another(place, tried)]!;
  if (!draw.weighted) return second.inFlight < first.inFlight ? second : first;
  return second.inFlight * weightOf(first) < first.inFlight * weightOf(second) ? second : first;
}

/**
 * The less loaded of two different candidates drawn by chance, by calls in flight from this client; ties go either way.
 * A slow instance is sent less without being starved, and clients that decide alike do not all run to the same one.
 *
 * Weights are heeded twice over: they are the chance of being drawn, and what the calls in flight are divided by. Idle instances get
 * their share by the first, busy ones by the second. (Counting the call to come, as some do, would give each idle pair to the
 * heavier one, and the lightest nothing at all.)
 *
 * Algorithm: power of two choices (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12(10),
 * 2001).
 */
export function leastRequest(): BalancerFactory {
  return ({ random }) => new LeastRequest(random);
}
