import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import type { Avoided, Balancer, BalancerDeps, BalancerFactory, Candidate } from "./balancer.ts";

/** Options of {@link slowStart}. */
export interface SlowStartOptions {
  /** How long it takes an instance that joins to come to its full share, milliseconds, above 0. Default 10000. */
  readonly windowMs?: number;
  /** How its share grows: 1 is evenly, above 1 faster at first, below 1 faster at the end; above 0. Default 1. */
  readonly aggression?: number;
  /** The share it begins with; above 0 to 1. Default 0.1. */
  readonly minShare?: number;
}

const defaults: Required<SlowStartOptions> = { windowMs: 10_000, aggression: 1, minShare: 0.1 };

/** Those that have joined a short while ago, as what a pick is to avoid. */
class Young<C> implements Avoided<C> {
  /** When each joined, the first first. */
  readonly joinedMs = new Map<C, number>();
  /** Of this pick. */
  tried: Avoided<C> | undefined;
  /** Whoever joined later is avoided. */
  sinceMs = Infinity;

  has(candidate: C): boolean {
    return this.joinedMs.get(candidate)! > this.sinceMs || this.tried?.has(candidate) === true;
  }
}

class SlowStart<C extends Candidate> implements Balancer<C> {
  readonly done?: NonNullable<Balancer<C>["done"]>;
  readonly report?: NonNullable<Balancer<C>["report"]>;
  readonly #settings: Required<SlowStartOptions>;
  readonly #inner: Balancer<C>;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #young = new Young<C>();
  #newestMs = 0;
  #known: ReadonlySet<C> = new Set();
  /** Since when there are any. */
  #sinceMs = 0;

  constructor(settings: Required<SlowStartOptions>, inner: Balancer<C>, { clock, random }: BalancerDeps<C>) {
    this.#settings = settings;
    this.#inner = inner;
    this.#clock = clock;
    this.#random = random;
    // Where the inner one does not listen, nothing need be told.
    if (inner.done !== undefined) this.done = inner.done.bind(inner);
    if (inner.report !== undefined) this.report = inner.report.bind(inner);
  }

  update(candidates: readonly C[]): void {
    const nowMs = this.#clock.now();
    const before = this.#known;
    const known = new Set(candidates);
    this.#known = known;
    const { joinedMs } = this.#young;
    for (const candidate of joinedMs.keys()) if (!known.has(candidate)) joinedMs.delete(candidate);
    if (before.size === 0) this.#sinceMs = nowMs;
    else if (nowMs - this.#sinceMs >= this.#settings.windowMs) {
      for (const candidate of candidates) {
        if (before.has(candidate) || candidate.warm === true) continue;
        joinedMs.set(candidate, nowMs);
        this.#newestMs = nowMs;
      }
    }
    // The others would have to do the work of too many.
    if (joinedMs.size * 2 > candidates.length) joinedMs.clear();
    this.#inner.update(candidates);
  }

  pick(ctx: Context, tried?: Avoided<C>): C | undefined {
    const young = this.#young;
    if (young.joinedMs.size === 0) return this.#inner.pick(ctx, tried);
    // One draw for all: who has come to no greater share than that is left out this time.
    const drawn = this.#random.next();
    const { windowMs, aggression, minShare } = this.#settings;
    const nowMs = this.#clock.now();
    young.sinceMs = drawn < minShare ? Infinity : nowMs - windowMs * drawn ** aggression;
    if (this.#newestMs <= young.sinceMs) {
      this.#forget(nowMs - windowMs);
      return this.#inner.pick(ctx, tried);
    }
    young.tried = tried;
    const picked = this.#inner.pick(ctx, young);
    // Better a young one than one that was tried.
    return picked !== undefined && tried?.has(picked) === true ? this.#inner.pick(ctx, tried) : picked;
  }

  /** Those that have joined by then are as the others. */
  #forget(untilMs: number): void {
    const { joinedMs } = this.#young;
    for (const [candidate, since] of joinedMs) {
      if (since > untilMs) return;
      joinedMs.delete(candidate);
    }
  }
}

/**
 * Gives an instance that joins others a share of the calls that grows to its full one: its code is not compiled yet, its caches and pools
 * are empty. Goes around any balancer, with or without weights: so and so many of the picks are made as if the new ones
 * were not there. A pick takes as long as one where some were tried; no timers.
 *
 * An instance that comes back from ejection starts slowly, too, but not one that is taken back because the others have too much to
 * do: without its full share they would have it for longer. Nobody does who is there from the start or comes within `windowMs`
 * of it, nor when more than half of all are new: then the others would drown.
 *
 * The share after t is `max(minShare, (t / windowMs) ^ (1 / aggression))`, as in Envoy's slow start.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function slowStart(options: SlowStartOptions, inner: BalancerFactory): BalancerFactory {
  const settings = { ...defaults, ...options };
  const { windowMs, aggression, minShare } = settings;
  for (const [name, value] of Object.entries({ windowMs, aggression })) {
    if (!(value > 0 && value < Infinity)) throw new RangeError(`slowStart: ${name} must be above 0, got ${value}`);
  }
  if (!(minShare > 0 && minShare <= 1)) {
    throw new RangeError(`slowStart: minShare must be above 0, and 1 at most, got ${minShare}`);
  }
  return (deps) => new SlowStart(settings, inner(deps), deps);
}
