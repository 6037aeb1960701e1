import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { ServiceError } from "../errors/service-error.ts";
import type { Avoided, Balancer, BalancerFactory, Candidate } from "./balancer.ts";
import { Draw } from "./draw.ts";
import { weightOf } from "./weight.ts";

/** Options of {@link peakEwma}. */
export interface PeakEwmaOptions {
  /** After so long what was measured counts for 1/e, milliseconds, above 0. Default 10000. */
  readonly decayMs?: number;
}

/** What one costs that has calls in flight and has never answered: more than any that has. */
const UNKNOWN = 1e300;
/** Until it has been asked for so long, milliseconds: what is in flight may be a stream, which tells nothing, or hang. Then one more call goes there. */
const ASK_AGAIN_MS = 1000;
/** A failure counts as so many times what calls take, at least so many milliseconds: fast errors must not look like speed. */
const FAILURE_TIMES = 5;
const FAILURE_MS = 100;
/** However often it fails. */
const MAX_FAILURE_MS = 1e6;
/** After so many times `decayMs` costs are brought down to a new zero of time, long before numbers end. */
const MAX_DECAYS = 200;

/**
 * What calls took, told so that it decays by itself: a cost measured at t stands as cost * e^(t / decayMs). All decay alike, so two are
 * compared as they stand, without looking at the clock.
 */
class PeakEwma<C extends Candidate> implements Balancer<C> {
  readonly #decayMs: number;
  readonly #draw: Draw<C>;
  /** Where each candidate stands in the list. */
  #places = new Map<C, number>();
  /** By place; 0 while nothing was measured. */
  #costs = new Float64Array(0);
  /** By place: e^(t / decayMs) when it was measured last. */
  #stamps = new Float64Array(0);
  /** By place: when it was picked last while nothing was measured. */
  #asked = new Float64Array(0);
  readonly #clock: Clock;
  #zeroMs: number;

  constructor(decayMs: number, clock: Clock, random: Random) {
    this.#decayMs = decayMs;
    this.#draw = new Draw(random);
    this.#clock = clock;
    this.#zeroMs = clock.now();
  }

  update(candidates: readonly C[]): void {
    const before = this.#places;
    const costs = new Float64Array(candidates.length);
    const stamps = new Float64Array(candidates.length);
    const asked = new Float64Array(candidates.length);
    this.#places = new Map();
    candidates.forEach((candidate, place) => {
      this.#places.set(candidate, place);
      const old = before.get(candidate);
      if (old === undefined) return;
      costs[place] = this.#costs[old]!;
      stamps[place] = this.#stamps[old]!;
      asked[place] = this.#asked[old]!;
    });
    this.#costs = costs;
    this.#stamps = stamps;
    this.#asked = asked;
    this.#draw.update(candidates);
  }

  pick(_ctx: Context, tried?: Avoided<C>): C | undefined {
    const draw = this.#draw;
    const first = draw.one(tried);
    if (first < 0) return undefined;
    const second = draw.another(first, tried);
    const place = this.#load(second) < this.#load(first) ? second : first;
    if (this.#costs[place] === 0) this.#asked[place] = this.#clock.now();
    return draw.candidates[place];
  }

  done(candidate: C, latencyMs: number | undefined, error: ServiceError | undefined, nowMs: number): void {
    const place = this.#places.get(candidate);
    if (place === undefined) return;
    const scale = this.#scale(nowMs);
    const costs = this.#costs;
    const cost = costs[place]!;
    const failed = error !== undefined && error.code !== "canceled";
    const ms = failed ? this.#failureMs(latencyMs ?? 0, cost / scale) : latencyMs;
    if (ms === undefined) return;
    const measured = scale * ms;
    // Up at once, down slowly: one slow answer is a warning, one quick answer none of the opposite.
    costs[place] = measured > cost ? measured : cost + measured * (1 - this.#stamps[place]! / scale);
    this.#stamps[place] = scale;
  }

  #failureMs(latencyMs: number, costMs: number): number {
    return Math.min(MAX_FAILURE_MS, Math.max(latencyMs, FAILURE_MS, costMs * FAILURE_TIMES));
  }

  #load(place: number): number {
    const candidate = this.#draw.candidates[place]!;
    const cost = this.#costs[place]!;
    const { inFlight } = candidate;
    if (inFlight === 0) return cost;
    if (cost === 0) return this.#clock.now() - this.#asked[place]! < ASK_AGAIN_MS ? UNKNOWN * inFlight : 0;
    return cost * (this.#draw.weighted ? inFlight / weightOf(candidate) + 1 : inFlight + 1);
  }

  /** What a millisecond measured now stands as. */
  #scale(nowMs: number): number {
    const decays = (nowMs - this.#zeroMs) / this.#decayMs;
    if (decays < MAX_DECAYS) return Math.exp(decays);
    const down = Math.exp(-decays);
    for (let i = 0; i < this.#costs.length; i++) {
      this.#costs[i]! *= down;
      this.#stamps[i]! *= down;
    }
    this.#zeroMs = nowMs;
    return 1;
  }
}

/**
 * The better of two different candidates drawn by chance, by what calls took lately times the calls in flight: heeds how fast
 * instances are as well as how busy. A slow answer counts at once, quick ones bring the measure down over `decayMs`. Failures
 * count as slow; what streams take tells nothing. Weights are heeded: as the chance of being drawn, and as what the calls in flight are divided by.
 *
 * Algorithm: peak EWMA (Finagle, `PeakEwma`) with the power of two choices.
 *
 * @throws RangeError when `decayMs` is not above 0.
 */
export function peakEwma({ decayMs = 10_000 }: PeakEwmaOptions = {}): BalancerFactory {
  if (!(decayMs > 0)) throw new RangeError(`peakEwma: decayMs must be above 0, got ${decayMs}`);
  return ({ clock, random }) => new PeakEwma(decayMs, clock, random);
}
