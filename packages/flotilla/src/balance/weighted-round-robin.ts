import { type Random, randomInt } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { Avoided, Balancer, BalancerFactory, Candidate } from "./balancer.ts";
import { weightOf } from "./weight.ts";

/** Weights are told in so many steps of the greatest. */
const STEPS = 65_535;
/** So many turns may be those of candidates that were tried before the list is looked through. */
const MAX_TURNS = 16;

class WeightedRoundRobin<C extends Candidate> implements Balancer<C> {
  readonly #random: Random;
  #candidates: readonly C[] = [];
  /** 1 to {@link STEPS}, relative to the greatest. */
  #shares = new Uint16Array(0);
  /** Counts the looks: round and place in it. */
  #sequence = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  update(candidates: readonly C[]): void {
    this.#candidates = candidates.slice();
    let greatest = 0;
    for (const candidate of candidates) greatest = Math.max(greatest, weightOf(candidate));
    this.#shares = Uint16Array.from(candidates, (candidate) =>
      Math.max(1, Math.round((weightOf(candidate) / greatest) * STEPS)),
    );
    this.#sequence = candidates.length === 0 ? 0 : randomInt(this.#random, candidates.length * 64);
  }

  pick(_ctx: Context, tried?: Avoided<C>): C | undefined {
    const candidates = this.#candidates;
    if (candidates.length === 0) return undefined;
    const first = this.#next();
    if (tried === undefined || !tried.has(first)) return first;
    // Whose turn it is next, so that what others lose is spread by weight.
    for (let turns = 1; turns < MAX_TURNS; turns++) {
      const candidate = this.#next();
      if (!tried.has(candidate)) return candidate;
    }
    // Those that are left are few or weigh little: the next of the list, whatever it weighs.
    const at = this.#sequence % candidates.length;
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[(at + i) % candidates.length]!;
      if (!tried.has(candidate)) return candidate;
    }
    return first;
  }

  /**
   * Goes through the list again and again; in every round one is taken whose share, added up over the rounds, has passed a
   * whole. Those of great weight are taken nearly every time, so that few looks find one: as many as the greatest weight is
   * times the mean.
   */
  #next(): C {
    const candidates = this.#candidates;
    const shares = this.#shares;
    const n = candidates.length;
    for (;;) {
      const index = this.#sequence % n;
      const round = Math.floor(this.#sequence / n);
      this.#sequence++;
      const share = shares[index]!;
      if (share === STEPS) return candidates[index]!;
      // An offset by place, so that those of one weight are not all taken in the same round.
      const offset = (STEPS / 2) * index;
      if ((share * round + offset) % STEPS < STEPS - share) continue;
      return candidates[index]!;
    }
  }
}

/**
 * Each in turn, as often as its `instance.weight` says (default 1), spread evenly. Of clients that do not know of each other each
 * keeps to the weights by itself. A pick looks at as many as the greatest weight is times the mean one: constant for weights
 * that do not differ by more than they usually do.
 *
 * Algorithm: the static stride scheduler of gRPC's weighted round robin (proposal A58).
 */
export function weightedRoundRobin(): BalancerFactory {
  return ({ random }) => new WeightedRoundRobin(random);
}
