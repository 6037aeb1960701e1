import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { ServiceError } from "../errors/service-error.ts";
import type { Balancer, BalancerFactory, Candidate } from "./balancer.ts";
import { betterOfTwo } from "./two-choices.ts";
import { weightOf } from "./weight.ts";

/** Options of {@link peakEwma}. */
export interface PeakEwmaOptions {
  /** After so long what was measured counts for 1/e, milliseconds, above 0. Default 10000. */
  readonly decayMs?: number;
}

interface Load {
  /** Milliseconds; 0 while nothing was measured. */
  cost: number;
  stampMs: number;
}

/** What one costs that has calls in flight and has never answered: more than any that has. */
const UNKNOWN_MS = 1e6;
/** A failure counts as so many times what calls take, at least so many milliseconds: fast errors must not look like speed. */
const FAILURE_TIMES = 5;
const FAILURE_MS = 100;

class PeakEwma<C extends Candidate> implements Balancer<C> {
  readonly #decayMs: number;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #loads = new WeakMap<C, Load>();
  #candidates: readonly C[] = [];

  constructor(decayMs: number, clock: Clock, random: Random) {
    this.#decayMs = decayMs;
    this.#clock = clock;
    this.#random = random;
  }

  update(candidates: readonly C[]): void {
    this.#candidates = candidates.slice();
  }

  pick(_ctx: Context, tried?: ReadonlySet<C>): C | undefined {
    return betterOfTwo(this.#random, this.#candidates, tried, this.#better);
  }

  done(candidate: C, latencyMs: number, error: ServiceError | undefined): void {
    const nowMs = this.#clock.now();
    const load = this.#loadOf(candidate, nowMs);
    const keep = Math.exp((load.stampMs - nowMs) / this.#decayMs);
    const failed = error !== undefined && error.code !== "canceled";
    const measured = failed ? Math.max(latencyMs, FAILURE_MS, load.cost * FAILURE_TIMES) : latencyMs;
    // Up at once, down slowly: one slow answer is a warning, one quick answer none of the opposite.
    if (measured > load.cost) load.cost = Math.min(measured, failed ? UNKNOWN_MS : Infinity);
    else load.cost = load.cost * keep + measured * (1 - keep);
    load.stampMs = nowMs;
  }

  readonly #better = (first: C, second: C): C => {
    const nowMs = this.#clock.now();
    return this.#weigh(second, nowMs) < this.#weigh(first, nowMs) ? second : first;
  };

  #weigh(candidate: C, nowMs: number): number {
    const load = this.#loadOf(candidate, nowMs);
    const waiting = candidate.inFlight;
    if (load.cost === 0) return waiting === 0 ? 0 : UNKNOWN_MS * waiting;
    // What has not been asked for a while may be well again.
    const cost = load.cost * Math.exp((load.stampMs - nowMs) / this.#decayMs);
    return (cost * (waiting + 1)) / weightOf(candidate);
  }

  #loadOf(candidate: C, nowMs: number): Load {
    let load = this.#loads.get(candidate);
    if (load === undefined) {
      load = { cost: 0, stampMs: nowMs };
      this.#loads.set(candidate, load);
    }
    return load;
  }
}

/**
 * The better of two different candidates drawn by chance, by what calls took lately times the calls in flight: heeds how fast
 * instances are as well as how busy. A slow answer counts at once, quick ones bring the measure down over `decayMs`. Failures
 * count as slow. Weights are heeded.
 *
 * Algorithm: peak EWMA (Finagle, `PeakEwma`) with the power of two choices.
 *
 * @throws RangeError when `decayMs` is not above 0.
 */
export function peakEwma({ decayMs = 10_000 }: PeakEwmaOptions = {}): BalancerFactory {
  if (!(decayMs > 0)) throw new RangeError(`peakEwma: decayMs must be above 0, got ${decayMs}`);
  return ({ clock, random }) => new PeakEwma(decayMs, clock, random);
}
