import type { Clock } from "../../clock/clock.ts";
import type { Limit, LimitFactory } from "./limit.ts";

/** Options of {@link adaptiveLimit}. */
export interface AdaptiveLimitOptions {
  /** Where it starts. `min` to `max`. Default 100. */
  readonly initial?: number;
  /** 1 or more. Default 1: one call at a time is all that a busy single-threaded process can do. */
  readonly min?: number;
  /** Default 1000. */
  readonly max?: number;
  /** How much longer than unloaded calls may take before the limit falls; above 1. Default 2. */
  readonly tolerance?: number;
}

/** Calls that are judged together: as a rule, where a fall is to be judged, and where little is to be told from chance. */
const CALLS = 20;
const CALLS_AFTER_FALL = 40;
const CALLS_OF_TRIAL = 160;
/** So few will do where they take so many times what is tolerated: a sudden overload is met within some calls. */
const PLAIN_CALLS = 5;
const PLAIN = 2;
/** The limit is under pressure when one call in so many finds no room. */
const PRESSURE = 4;
/** The limit falls no further than to this share at once. */
const STEEPEST = 0.25;
/** A fall to more than this share says nothing of what it was good for: chance says more. */
const TELLING = 0.6;
/** Under pressure that goes on, this often it is tried whether fewer calls in flight are faster, milliseconds. */
const TRIAL_MS = 10_000;
/** But no more than this share of the time. */
const TRIAL_SHARE = 0.1;

/** How things stood before the limit fell. */
interface Before {
  readonly limit: number;
  readonly meanMs: number;
  readonly sinceMs: number;
  /** Whether the mean is that of calls which all ran under this limit, and under pressure. */
  readonly settled: boolean;
  readonly trial: boolean;
}

class AdaptiveLimit implements Limit {
  readonly #min: number;
  readonly #max: number;
  readonly #tolerance: number;
  #limit: number;
  /** The norm. */
  #unloadedMs: number | undefined;
  // The calls judged next: those that have begun since.
  #startMs: number;
  #calls = 0;
  #sumMs = 0;
  #pressed = 0;
  /** The most in flight. */
  #peak = 0;
  /** Whether the calls judged last ran under the same limit, and under pressure. */
  #settled = false;
  /** The limit is to fall for a trial, once there is a good mean to compare with. */
  #trying = false;
  #before: Before | undefined;
  /** Where the limit stood before it fell, once or several times in a row. */
  #top: number | undefined;
  #nextTrialMs: number;

  constructor(clock: Clock, options: Required<AdaptiveLimitOptions>) {
    this.#min = options.min;
    this.#max = options.max;
    this.#tolerance = options.tolerance;
    this.#limit = options.initial;
    this.#startMs = clock.now();
    this.#nextTrialMs = this.#startMs + TRIAL_MS;
  }

  get current(): number {
    return Math.round(this.#limit);
  }

  get unloadedMs(): number | undefined {
    return this.#unloadedMs;
  }

  pressed(): void {
    this.#pressed++;
  }

  ended(nowMs: number, durationMs: number, inFlight: number): void {
    this.#peak = Math.max(this.#peak, inFlight);
    // What began before the limit was set tells of the limit before.
    if (nowMs - durationMs < this.#startMs) return;
    this.#calls++;
    this.#sumMs += durationMs;
    if (this.#calls < this.#needed() && !this.#isPlain()) return;
    this.#judge(nowMs, this.#sumMs / this.#calls, this.#pressed * PRESSURE > this.#calls);
    this.#calls = 0;
    this.#sumMs = 0;
    this.#pressed = 0;
    this.#peak = 0;
    this.#startMs = nowMs;
  }

  #needed(): number {
    const long = this.#unloadedMs !== undefined;
    if (this.#before !== undefined) return long && this.#before.trial ? CALLS_OF_TRIAL : CALLS_AFTER_FALL;
    return long && this.#trying ? CALLS_OF_TRIAL : CALLS;
  }

  #isPlain(): boolean {
    if (this.#before !== undefined || this.#unloadedMs === undefined || this.#calls < PLAIN_CALLS) return false;
    return this.#sumMs / this.#calls > PLAIN * this.#tolerance * this.#unloadedMs;
  }

  #judge(nowMs: number, meanMs: number, pressure: boolean): void {
    const before = this.#before;
    this.#before = undefined;
    if (!pressure) return this.#judgeAtEase(meanMs);
    // Calls were held up although there was room for more: as many as there were are the limit that was in force.
    if (this.#peak < this.#limit) this.#limit = Math.max(this.#min, this.#peak);
    if (before !== undefined) return this.#compare(nowMs, meanMs, before);
    const settled = this.#settled;
    this.#settled = true;
    // Without a norm, or with one of long ago: do calls get faster with fewer?
    if (this.#trying && settled) {
      this.#trying = false;
      return this.#fall(nowMs, meanMs, 0.5, settled, true);
    }
    const known = this.#unloadedMs;
    this.#trying = known === undefined || nowMs >= this.#nextTrialMs;
    if (known === undefined) return;
    const slowdown = meanMs / known;
    if (slowdown > this.#tolerance) {
      // Chance alone makes some calls slow: once more, unless it is plain.
      if (settled || slowdown > PLAIN * this.#tolerance)
        this.#fall(nowMs, meanMs, this.#tolerance / slowdown, settled, false);
      return;
    }
    this.#top = undefined;
    if (slowdown < (1 + this.#tolerance) / 2) this.#set(this.#limit + Math.max(1, this.#limit / 10));
  }

  /** Few found no room: what calls take is what they take, but for those that wait for each other within. */
  #judgeAtEase(meanMs: number): void {
    this.#settled = false;
    this.#trying = false;
    this.#top = undefined;
    const tolerated = this.#learn(meanMs) * this.#tolerance;
    // As many as there were are not held back: perhaps others are called now, which take longer.
    if (meanMs > tolerated) this.#set(Math.max(this.#peak, this.#limit * Math.max(STEEPEST, tolerated / meanMs)));
  }

  #fall(nowMs: number, meanMs: number, share: number, settled: boolean, trial: boolean): void {
    if (this.current <= this.#min) {
      // With the fewest there can be, this is what calls take.
      if (settled) this.#unloadedMs = ((this.#unloadedMs ?? meanMs) + meanMs) / 2;
      this.#nextTrialMs = nowMs + TRIAL_MS;
      return;
    }
    const limit = this.#limit;
    this.#top ??= limit;
    this.#set(Math.floor(limit * Math.max(STEEPEST, share)));
    if (this.current <= limit * TELLING) this.#before = { limit, meanMs, sinceMs: nowMs, settled, trial };
  }

  /** What was the fall of the limit good for? */
  #compare(nowMs: number, meanMs: number, before: Before): void {
    this.#settled = true;
    const unknown = this.#unloadedMs === undefined;
    // The relief, as a share of what it would be if calls did nothing but wait for each other.
    const relief = (1 - meanMs / before.meanMs) / (1 - this.current / Math.round(before.limit));
    if (before.settled) {
      if (before.trial) this.#nextTrialMs = nowMs + Math.max(TRIAL_MS, (nowMs - before.sinceMs) / TRIAL_SHARE);
      if (relief < (before.trial ? 0.5 : 0.3)) {
        // Fewer at a time are hardly faster: they do not wait for each other, this is what calls take.
        this.#unloadedMs = meanMs;
        this.#set(before.trial ? before.limit : (this.#top ?? before.limit));
        this.#top = undefined;
        return;
      }
    }
    const norm = this.#learn(meanMs);
    if (unknown || (before.trial && relief > 0.75)) this.#fall(nowMs, meanMs, 0.5, true, true);
    else if (meanMs > norm * this.#tolerance) this.#fall(nowMs, meanMs, (norm * this.#tolerance) / meanMs, true, false);
  }

  /** Takes down what calls take that hardly wait: good news at once, worse news slowly. */
  #learn(meanMs: number): number {
    const known = this.#unloadedMs ?? meanMs;
    this.#unloadedMs = known + (meanMs - known) * (meanMs < known ? 0.3 : 0.05);
    return this.#unloadedMs;
  }

  #set(limit: number): void {
    this.#settled = false;
    this.#limit = Math.max(this.#min, Math.min(this.#max, limit));
  }
}

/**
 * A limit that finds out how many calls at a time are of use: more only wait for each other.
 *
 * What calls take while there is room is the norm. The limit falls as calls take more than `tolerance` times as long, and rises
 * under pressure while they do not. Under pressure the norm is not touched, so that a load that goes on for long does not become
 * the norm. Every 10 s then, and as long as there is no norm, the limit falls to half for a trial: if calls get faster in
 * proportion, they did wait for each other, and half is tried again; if they do not, what they take is the new norm, and the
 * limit is restored.
 *
 * After the gradient limiters (Netflix concurrency-limits, Envoy adaptive concurrency), whose norm drifts or needs idle times;
 * the trial stands for what failsafe-go does by correlation of throughput and latency. `npm run sim -- overload` shows what it does.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function adaptiveLimit(options: AdaptiveLimitOptions = {}): LimitFactory {
  const { min = 1, max = 1000, tolerance = 2 } = options;
  const { initial = Math.min(max, Math.max(min, 100)) } = options;
  if (!(min >= 1)) throw new RangeError(`adaptiveLimit: min must be 1 or more, got ${min}`);
  if (!(max >= min)) throw new RangeError(`adaptiveLimit: max must not be below min, got ${max}`);
  if (!(initial >= min && initial <= max)) {
    throw new RangeError(`adaptiveLimit: initial must be from ${min} to ${max}, got ${initial}`);
  }
  if (!(tolerance > 1)) throw new RangeError(`adaptiveLimit: tolerance must be above 1, got ${tolerance}`);
  return (clock) => new AdaptiveLimit(clock, { initial, min, max, tolerance });
}
