import { type Random, randomInt } from "../clock/random.ts";
import { type AliasTables, aliasTables } from "./alias-tables.ts";
import type { Avoided, Candidate } from "./balancer.ts";
import { weightOf } from "./weight.ts";

/** So many draws may hit one that is not wanted before another way is taken: half of all may be unwanted, and it hardly ever is. */
const MAX_DRAWS = 16;

/**
 * Draws candidates by chance, in proportion to their weights, as places in the list: what is kept of them can stand in arrays.
 * Constant time, unless nearly all are to be avoided; an update takes time in proportion to the list.
 */
export class Draw<C extends Candidate> {
  readonly #random: Random;
  #candidates: readonly C[] = [];
  /** Undefined while all weigh the same. */
  #tables: AliasTables | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  get candidates(): readonly C[] {
    return this.#candidates;
  }

  /** Whether some weigh more than others. */
  get weighted(): boolean {
    return this.#tables !== undefined;
  }

  update(candidates: readonly C[]): void {
    this.#candidates = candidates.slice();
    const first = candidates.length === 0 ? 1 : weightOf(candidates[0]!);
    this.#tables = candidates.every((candidate) => weightOf(candidate) === first)
      ? undefined
      : aliasTables(candidates.map(weightOf));
  }

  /** One of those not tried while there are any, else any; -1 when there is none at all. */
  one(tried: Avoided<C> | undefined): number {
    if (this.#candidates.length === 0) return -1;
    if (tried === undefined) return this.#any();
    const untried = this.#wanted(tried, -1);
    return untried < 0 ? this.#any() : untried;
  }

  /** A different one of those not tried, `than` having been drawn before; `than` itself when there is none. Either is chance, so a tie may always go to the first. */
  another(than: number, tried: Avoided<C> | undefined): number {
    if (tried !== undefined) {
      const untried = this.#wanted(tried, than);
      return untried < 0 ? than : untried;
    }
    return this.#candidates.length === 1 ? than : this.#other(than);
  }

  #any(): number {
    const n = this.#candidates.length;
    const tables = this.#tables;
    if (tables === undefined) return randomInt(this.#random, n);
    // The whole part chooses the column, the fraction the side of it.
    const drawn = this.#random.next() * n;
    const column = Math.floor(drawn);
    return drawn - column < tables.limit[column]! ? column : tables.alias[column]!;
  }

  #other(than: number): number {
    if (this.#tables !== undefined) {
      for (let draws = 0; draws < MAX_DRAWS; draws++) {
        const drawn = this.#any();
        if (drawn !== than) return drawn;
      }
    }
    // All weigh the same; or the one outweighs the others by far, and which of these it is matters little.
    const drawn = randomInt(this.#random, this.#candidates.length - 1);
    return drawn < than ? drawn : drawn + 1;
  }

  /** One of those neither tried nor at `except`; -1 when there is none. */
  #wanted(tried: Avoided<C>, except: number): number {
    const candidates = this.#candidates;
    for (let draws = 0; draws < MAX_DRAWS; draws++) {
      const drawn = this.#any();
      if (drawn !== except && !tried.has(candidates[drawn]!)) return drawn;
    }
    // Few are left, or those that are weigh little: one pass, keeping each with the chance its weight has (Chao 1982).
    let total = 0;
    let chosen = -1;
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!;
      if (i === except || tried.has(candidate)) continue;
      const weight = weightOf(candidate);
      total += weight;
      if (this.#random.next() * total < weight) chosen = i;
    }
    return chosen;
  }
}
