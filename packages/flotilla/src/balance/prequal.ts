import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { LoadReport } from "../endpoint/load-report.ts";
import type { Balancer, BalancerFactory, Candidate } from "./balancer.ts";
import { lessLoaded } from "./least-request.ts";
import { betterOfTwo } from "./two-choices.ts";

/** Options of {@link prequal}. */
export interface PrequalOptions {
  /** Reports kept to choose from. 2 or more. Default 16. */
  readonly poolSize?: number;
  /** Older reports are thrown away, milliseconds, above 0. Default 1000. */
  readonly maxAgeMs?: number;
  /** An instance is hot whose calls in flight are above this quantile of those reported; 0 to 1. Default 0.84. */
  readonly hotQuantile?: number;
  /** How often a report is used before it is thrown away; 1 or more. Default 2. */
  readonly uses?: number;
}

interface Probe<C> {
  readonly candidate: C;
  readonly latencyMs: number;
  readonly sinceMs: number;
  inFlight: number;
  uses: number;
}

/** Reports from which the quantile of calls in flight is told. */
const SEEN = 64;

class Prequal<C extends Candidate> implements Balancer<C> {
  readonly #options: Required<PrequalOptions>;
  readonly #clock: Clock;
  readonly #random: Random;
  #candidates: readonly C[] = [];
  #known = new Set<C>();
  /** The oldest first. */
  #pool: Probe<C>[] = [];
  readonly #seen: number[] = [];
  #seenAt = 0;
  #hotAbove = 0;
  #removeWorst = false;

  constructor(options: Required<PrequalOptions>, clock: Clock, random: Random) {
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
  }

  update(candidates: readonly C[]): void {
    this.#candidates = candidates.slice();
    this.#known = new Set(candidates);
    this.#pool = this.#pool.filter(({ candidate }) => this.#known.has(candidate));
  }

  pick(_ctx: Context, tried?: ReadonlySet<C>): C | undefined {
    const pool = this.#pool;
    const oldestMs = this.#clock.now() - this.#options.maxAgeMs;
    while (pool.length > 0 && pool[0]!.sinceMs < oldestMs) pool.shift();
    const best = pool.length < 2 ? -1 : this.#best(tried);
    // Too few reports, or none of one that was not tried.
    if (best < 0) return betterOfTwo(this.#random, this.#candidates, tried, lessLoaded);
    const probe = pool[best]!;
    // Until the next report: what we send it now adds to what it has.
    probe.inFlight++;
    if (--probe.uses <= 0) pool.splice(best, 1);
    if (pool.length >= this.#options.poolSize) this.#removeOne();
    return probe.candidate;
  }

  report(candidate: C, { requestsInFlight, latencyMs }: LoadReport): void {
    if (!this.#known.has(candidate)) return;
    const { poolSize, uses } = this.#options;
    this.#seen[this.#seenAt] = requestsInFlight;
    this.#seenAt = (this.#seenAt + 1) % SEEN;
    if (this.#seenAt % 8 === 0) this.#judgeHeat();
    const before = this.#pool.findIndex((probe) => probe.candidate === candidate);
    if (before >= 0) this.#pool.splice(before, 1);
    if (this.#pool.length >= poolSize) this.#removeOne();
    this.#pool.push({ candidate, latencyMs, sinceMs: this.#clock.now(), inFlight: requestsInFlight, uses });
  }

  /** Of the cold ones that which is fastest, of none but hot ones that which has the least to do; -1 when all were tried. */
  #best(tried: ReadonlySet<C> | undefined): number {
    let best = -1;
    for (let i = 0; i < this.#pool.length; i++) {
      const probe = this.#pool[i]!;
      if (tried?.has(probe.candidate) === true) continue;
      if (best < 0 || this.#isBetter(probe, this.#pool[best]!)) best = i;
    }
    return best;
  }

  #isBetter(one: Probe<C>, other: Probe<C>): boolean {
    const hot = one.inFlight > this.#hotAbove;
    const otherHot = other.inFlight > this.#hotAbove;
    if (hot !== otherHot) return otherHot;
    if (hot) return one.inFlight < other.inFlight;
    return one.latencyMs < other.latencyMs || (one.latencyMs === other.latencyMs && one.inFlight < other.inFlight);
  }

  /** The oldest says the least; the worst would be chosen only for want of others. In turns. */
  #removeOne(): void {
    this.#removeWorst = !this.#removeWorst;
    if (!this.#removeWorst) return void this.#pool.shift();
    let worst = 0;
    for (let i = 1; i < this.#pool.length; i++) if (this.#isBetter(this.#pool[worst]!, this.#pool[i]!)) worst = i;
    this.#pool.splice(worst, 1);
  }

  #judgeHeat(): void {
    const sorted = this.#seen.toSorted((a, b) => a - b);
    this.#hotAbove = sorted[Math.min(sorted.length - 1, Math.floor(this.#options.hotQuantile * sorted.length))]!;
  }
}

/**
 * Balances by what instances say of themselves instead of by what one client sees: calls in flight from all clients, and the
 * latency that goes with so many. An instance that has more in flight than most is hot, and avoided; of the others the fastest is
 * taken. Needs servers that report (`loadReporting()`); until they do, and where reports are rare, it is the less loaded of two.
 *
 * Reports ride on answers; those that say the least are thrown away as new ones come.
 *
 * Algorithm: Prequal (Wydrowski et al., "Load is not what you should balance", NSDI 2024), its probes replaced by reports on
 * answers.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function prequal(options: PrequalOptions = {}): BalancerFactory {
  const settings = { poolSize: 16, maxAgeMs: 1000, hotQuantile: 0.84, uses: 2, ...options };
  if (!(settings.poolSize >= 2)) throw new RangeError(`prequal: poolSize must be 2 or more, got ${settings.poolSize}`);
  if (!(settings.maxAgeMs > 0)) throw new RangeError(`prequal: maxAgeMs must be above 0, got ${settings.maxAgeMs}`);
  if (!(settings.hotQuantile >= 0 && settings.hotQuantile <= 1)) {
    throw new RangeError(`prequal: hotQuantile must be from 0 to 1, got ${settings.hotQuantile}`);
  }
  if (!(settings.uses >= 1)) throw new RangeError(`prequal: uses must be 1 or more, got ${settings.uses}`);
  return ({ clock, random }) => new Prequal(settings, clock, random);
}
