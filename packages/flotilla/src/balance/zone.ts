import { type Random, randomInt } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { Avoided, Balancer, Candidate } from "./balancer.ts";
import { weightOf } from "./weight.ts";

/** Averages go over so many picks. */
const LONG = 32;

/** The instances of one zone. */
export class Zone<C extends Candidate> {
  readonly name: string;
  readonly balancer: Balancer<C>;
  #candidates: readonly C[] = [];
  #weight = 0;
  /** Share of its instances that is to be avoided, on average over the last picks. */
  #avoided = 0;

  constructor(name: string, balancer: Balancer<C>) {
    this.name = name;
    this.balancer = balancer;
  }

  /** What it can do, relative to other zones. */
  get capacity(): number {
    return this.#weight * (1 - this.#avoided);
  }

  /** @param candidates - one at least. */
  update(candidates: readonly C[]): void {
    this.#candidates = candidates;
    this.#weight = candidates.reduce((sum, candidate) => sum + weightOf(candidate), 0);
    this.balancer.update(candidates);
  }

  pick(ctx: Context, tried: Avoided<C> | undefined, random: Random): C {
    // How many are down nobody tells; but whether one is can be asked, and any one is as good as another.
    const sample =
      tried !== undefined && tried.has(this.#candidates[randomInt(random, this.#candidates.length)]!) ? 1 : 0;
    this.#avoided += (sample - this.#avoided) / LONG;
    return this.balancer.pick(ctx, tried)!;
  }
}
