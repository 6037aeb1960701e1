import { type Random, randomInt } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { Balancer, BalancerFactory, Candidate } from "./balancer.ts";
import { weightOf } from "./weight.ts";

/** So many draws may hit one that was tried before the list is looked through. */
const MAX_DRAWS = 8;

/**
 * Vose's alias tables: column i holds candidate i up to `limit[i]` and candidate `alias[i]` above, so that one uniform draw
 * picks in proportion to the weights.
 */
interface AliasTables {
  readonly limit: Float64Array;
  readonly alias: Uint32Array;
}

class WeightedRandom<C extends Candidate> implements Balancer<C> {
  readonly #random: Random;
  #candidates: readonly C[] = [];
  // Undefined while all weigh the same.
  #tables: AliasTables | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  update(candidates: readonly C[]): void {
    this.#candidates = candidates.slice();
    const first = candidates.length === 0 ? 1 : weightOf(candidates[0]!);
    this.#tables = candidates.every((candidate) => weightOf(candidate) === first) ? undefined : aliasTables(candidates);
  }

  pick(_ctx: Context, tried?: ReadonlySet<C>): C | undefined {
    if (this.#candidates.length === 0) return undefined;
    let candidate = this.#draw();
    if (tried === undefined || tried.size === 0) return candidate;
    for (let draws = 1; tried.has(candidate); draws++) {
      if (draws === MAX_DRAWS) return this.#search(tried) ?? candidate;
      candidate = this.#draw();
    }
    return candidate;
  }

  #draw(): C {
    const candidates = this.#candidates;
    const tables = this.#tables;
    if (tables === undefined) return candidates[randomInt(this.#random, candidates.length)]!;
    // The whole part chooses the column, the fraction the side of it.
    const drawn = this.#random.next() * candidates.length;
    const column = Math.floor(drawn);
    return candidates[drawn - column < tables.limit[column]! ? column : tables.alias[column]!]!;
  }

  /** One of those not tried, by weight, in one pass (Chao 1982). Reached only where those tried bear most of the weight. */
  #search(tried: ReadonlySet<C>): C | undefined {
    let total = 0;
    let chosen: C | undefined;
    for (const candidate of this.#candidates) {
      if (tried.has(candidate)) continue;
      const weight = weightOf(candidate);
      total += weight;
      if (this.#random.next() * total < weight) chosen = candidate;
    }
    return chosen;
  }
}

function aliasTables(candidates: readonly Candidate[]): AliasTables {
  const n = candidates.length;
  // Relative to the heaviest first: the sum of huge weights must not overflow.
  let heaviest = 0;
  for (const candidate of candidates) heaviest = Math.max(heaviest, weightOf(candidate));
  let total = 0;
  const limit = Float64Array.from(candidates, (candidate) => {
    const share = weightOf(candidate) / heaviest;
    total += share;
    return share;
  });
  const alias = Uint32Array.from(candidates, (_, i) => i);
  const small: number[] = [];
  const large: number[] = [];
  for (let i = 0; i < n; i++) {
    limit[i] = (limit[i]! * n) / total;
    (limit[i]! < 1 ? small : large).push(i);
  }
  // Each column too low is filled up by one too high, which then counts as what is left of it.
  while (small.length > 0 && large.length > 0) {
    const low = small.pop()!;
    const high = large.at(-1)!;
    alias[low] = high;
    limit[high] = limit[high]! - (1 - limit[low]!);
    if (limit[high] < 1) small.push(large.pop()!);
  }
  // What remains is full but for rounding.
  for (const i of small) limit[i] = 1;
  for (const i of large) limit[i] = 1;
  return { limit, alias };
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
