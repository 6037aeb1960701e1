import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { LoadReport } from "../endpoint/load-report.ts";
import type { Avoided, Balancer, BalancerDeps, BalancerFactory, Candidate } from "./balancer.ts";
import { Draw } from "./draw.ts";
import { lessLoadedOfTwo } from "./least-request.ts";
import { ReportPool } from "./report-pool.ts";
import { weightOf } from "./weight.ts";

/** Options of {@link prequal}. */
export interface PrequalOptions {
  /** Reports kept to choose from, but never of more than half of the instances. 2 to 1024. Default 16. */
  readonly poolSize?: number;
  /** Older reports are thrown away, milliseconds, above 0. Default 1000. */
  readonly maxAgeMs?: number;
  /** An instance is hot whose calls in flight are above this quantile of those reported; 0 to 1. Default 0.84. */
  readonly hotQuantile?: number;
  /**
   * Instances probed with each call while there are reports of few, as when traffic is thin; a tenth of that while answers bring enough.
   * Above 0 to 16. Default 3.
   */
  readonly probes?: number;
}

const defaults: Required<PrequalOptions> = { poolSize: 16, maxAgeMs: 1000, hotQuantile: 0.84, probes: 3 };
const MAX_POOL = 1024;
/** Probes under way at any time. */
const MAX_PROBING = 16;
/** Share of the probes that goes on while answers bring enough: they tell of those only that are chosen anyway. */
const EXPLORING = 0.1;
/** Of three reports that come, one is thrown away unused. */
const REMOVED = 1 / 3;
/** The uses of all reports that come, times those it takes: so that the pool fills up. */
const SURPLUS = 2;
const MAX_USES = 8;
/** A probe that cannot be made is made up for by a call, of ten one. */
const STAND_IN = 0.1;
/** Averages go over so many. */
const LONG = 64;

class Prequal<C extends Candidate> implements Balancer<C> {
  readonly #maxAgeMs: number;
  readonly #poolSize: number;
  readonly #probes: number;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #probe: BalancerDeps<C>["probe"];
  readonly #draw: Draw<C>;
  readonly #pool: ReportPool<C>;
  #places = new Map<C, number>();
  #room = 0;
  /** What a call counts for each candidate, by place: less than 1 for those that weigh more than most. Undefined while all weigh the same. */
  #loads: Float64Array | undefined;
  readonly #probing = new Set<C>();
  // Whole ones count: probes that are due, calls that are to stand in for probes, reports that are to go.
  #due = 0;
  #standIns = 0;
  #going = 0;
  /** Reports that come with each call, on average. */
  #coming = 1;
  /** Since the last call. */
  #came = 0;
  /** What calls take, on average: counts for those that do not know yet. */
  #typicalMs = 0;
  #measured = 0;

  constructor(settings: Required<PrequalOptions>, { clock, random, probe }: BalancerDeps<C>) {
    this.#maxAgeMs = settings.maxAgeMs;
    this.#poolSize = settings.poolSize;
    this.#probes = settings.probes;
    this.#clock = clock;
    this.#random = random;
    this.#probe = probe;
    this.#draw = new Draw(random);
    this.#pool = new ReportPool(settings.poolSize, settings.hotQuantile);
  }

  update(candidates: readonly C[]): void {
    this.#draw.update(candidates);
    this.#places = new Map(candidates.map((candidate, place) => [candidate, place]));
    // Who knows nearly all of them chooses the same one as all others who do, by what they heard some time ago.
    this.#room = Math.min(this.#poolSize, Math.max(2, Math.ceil(candidates.length / 2)));
    this.#pool.update(this.#draw.candidates, this.#places, this.#room);
    if (!this.#draw.weighted) this.#loads = undefined;
    else {
      const weights = candidates.map(weightOf);
      const mean = weights.reduce((sum, weight) => sum + weight / weights.length, 0);
      this.#loads = Float64Array.from(weights, (weight) => mean / weight);
    }
  }

  pick(_ctx: Context, tried?: Avoided<C>): C | undefined {
    const pool = this.#pool;
    pool.expire(this.#clock.now() - this.#maxAgeMs);
    this.#ask();
    this.#coming += (this.#came - this.#coming) / LONG;
    this.#came = 0;
    const best = pool.size < 2 || this.#standsIn() ? -1 : pool.best(tried);
    // Too few reports, or none of one that was not tried; or it is to bring a report of another.
    if (best < 0) return lessLoadedOfTwo(this.#draw, tried);
    const picked = pool.use(best, this.#loads === undefined ? 1 : this.#loads[pool.place(best)]!);
    this.#going += Math.min(1, this.#coming * REMOVED);
    if (this.#going >= 1) {
      this.#going--;
      if (pool.size > 2) pool.removeOne();
    }
    return picked;
  }

  report(candidate: C, { requestsInFlight, latencyMs }: LoadReport, nowMs: number): void {
    const place = this.#places.get(candidate);
    if (place === undefined) return;
    this.#came++;
    if (latencyMs > 0) this.#typicalMs += (latencyMs - this.#typicalMs) / Math.min(LONG, ++this.#measured);
    const inFlight = this.#loads === undefined ? requestsInFlight : requestsInFlight * this.#loads[place]!;
    this.#pool.add(place, inFlight, latencyMs || this.#typicalMs, nowMs, this.#uses());
  }

  /** How often a report is used: so often that reports are neither short nor old. A fraction is a chance. */
  #uses(): number {
    const kept = 1 - this.#room / this.#places.size - REMOVED;
    const uses = kept > 0 ? Math.min(MAX_USES, Math.max(1, SURPLUS / (kept * this.#coming))) : MAX_USES;
    return Math.floor(uses + this.#random.next());
  }

  /** Asks those it is time to ask. */
  #ask(): void {
    // Of one there is nothing to choose.
    if (this.#places.size < 2) return;
    const due = this.#pool.size * 2 < this.#room ? this.#probes : this.#probes * EXPLORING;
    if (this.#probe === undefined) return void (this.#standIns += due * STAND_IN);
    this.#due += due;
    for (; this.#due >= 1; this.#due--) {
      if (this.#probing.size < Math.min(MAX_PROBING, this.#places.size)) this.#askOne(this.#probe);
    }
  }

  #askOne(probe: NonNullable<BalancerDeps<C>["probe"]>): void {
    const candidate = this.#draw.candidates[this.#draw.one(this.#probing)]!;
    this.#probing.add(candidate);
    const over = (asked: boolean): void => {
      this.#probing.delete(candidate);
      if (!asked) this.#standIns += STAND_IN;
    };
    probe(candidate).then(over, () => over(false));
  }

  /** Whether a call is to go to any that a probe would have gone to: nobody else would hear of those. */
  #standsIn(): boolean {
    if (this.#standIns < 1) return false;
    this.#standIns = Math.min(1, this.#standIns - 1);
    return true;
  }
}

/**
 * Balances by what instances say of themselves instead of by what one client sees: calls in flight from all clients, and the
 * latency that goes with so many. An instance that has more in flight than most is hot, and avoided; of the others the fastest is
 * taken. Needs servers that report (`loadReporting()`); until they do it is the less loaded of two. Weights are heeded: as the chance
 * of being probed, and as what the calls in flight are divided by.
 *
 * Reports ride on answers. Where they tell of few instances, others are probed while the call goes on: a call of the host's own, which
 * costs a server some tens of microseconds. No pick waits for a probe, and at most 16 are under way. Some calls stand in for the probes of those that cannot be probed.
 *
 * Algorithm: Prequal (Wydrowski et al., "Load is not what you should balance: Introducing Prequal", NSDI 2024): the pool, its
 * removal in turns of the oldest and the worst, the budget of uses `max(1, (1 + d) / ((1 - m/n) r - removed))`, hot and cold. What differs:
 * reports on answers count as probes, so that a third of what comes is removed whatever comes; the pool holds half of the instances at
 * most; and with the calls in flight of a report the latency is raised, too, until the next one.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function prequal(options: PrequalOptions = {}): BalancerFactory {
  const settings = { ...defaults, ...options };
  const { poolSize, maxAgeMs, hotQuantile, probes } = settings;
  if (!(Number.isInteger(poolSize) && poolSize >= 2 && poolSize <= MAX_POOL)) {
    throw new RangeError(`prequal: poolSize must be a whole number from 2 to ${MAX_POOL}, got ${poolSize}`);
  }
  if (!(maxAgeMs > 0)) throw new RangeError(`prequal: maxAgeMs must be above 0, got ${maxAgeMs}`);
  if (!(hotQuantile >= 0 && hotQuantile <= 1)) {
    throw new RangeError(`prequal: hotQuantile must be from 0 to 1, got ${hotQuantile}`);
  }
  if (!(probes > 0 && probes <= MAX_PROBING)) {
    throw new RangeError(`prequal: probes must be above 0 to ${MAX_PROBING}, got ${probes}`);
  }
  return (deps) => new Prequal(settings, deps);
}
