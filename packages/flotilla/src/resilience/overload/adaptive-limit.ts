import type { Clock } from "../../clock/clock.ts";
import type { Limit, LimitFactory } from "./limit.ts";
import { type Norm, Norms, rootOf } from "./norms.ts";
import { LESS, Step } from "./step.ts";
import { Throughput } from "./throughput.ts";

/** Options of {@link adaptiveLimit}. */
export interface AdaptiveLimitOptions {
  /** Where it starts. `min` to `max`. Default 50. */
  readonly initial?: number;
  /** 1 or more. Default 1: one call at a time is all that a busy single-threaded process can do. */
  readonly min?: number;
  /** Default 1000. */
  readonly max?: number;
  /** How much longer than unloaded calls may take before the limit falls; above 1. Default 2. */
  readonly tolerance?: number;
}

/** Calls judged together: at least, and when they do not tell clearly. */
const FEW = 8;
const MANY = 200;
/** How much few calls are doubted that speak for less, or for more: so many standard errors, roughly. */
const DOUBT = 1.5;
const DOUBT_OF_ROOM = 0.75;
/** What is less than the rest of this share too much is let pass. */
const PASS = 0.95;
/** Where so much of the share is left, there is room for more. */
const ROOM = 0.9;
/** The limit is under pressure when one call in so many finds no room. */
const PRESSURE = 4;
/** The limit falls no further than to this share at once, and rises no further. */
const STEEPEST = 0.25;
const RISE = 1.5;
/** Without pressure it does not fall below so many times what was in flight: perhaps others are called now, which take longer. */
const EASE = 1.5;
/** What calls do can be laid to their number only where they are fewer than this share. */
const FEWER = 0.6;
/** Without calls that hardly wait it is tried this often whether half as many do as much, milliseconds; up to so many times more rarely. */
const TRIAL_MS = 30_000;
const RAREST = 4;
/** But no more than this share of the time. */
const TRIAL_SHARE = 0.1;
const THOROUGH = 2.5;
const AS_MUCH = 0.85;
/** So many calls that hardly waited make a trial needless for a while. */
const LONE = 20;

class AdaptiveLimit implements Limit<Norm> {
  readonly #min: number;
  readonly #max: number;
  /** How many times as long calls take: more is too long, less leaves room. */
  readonly #slow: number;
  readonly #fine: number;
  readonly #norms = new Norms();
  readonly #throughput = new Throughput();
  #limit: number;
  /** What began before the limit jumped tells of the limit before. */
  #sinceMs: number;
  /** And of what began since, those that end first are the shortest: so many do not count. */
  #skip = 0;
  // The calls judged next, and those that came meanwhile.
  #judged = 0;
  #nextLook = FEW;
  #found = 0;
  #calls = 0;
  #pressed = 0;
  #peak = 0;
  #pressedMs = -Infinity;
  #lone = 0;
  #step: Step | undefined;
  #nextTrialMs: number;
  #trialMs = TRIAL_MS;

  constructor(clock: Clock, options: Required<AdaptiveLimitOptions>) {
    this.#min = options.min;
    this.#max = options.max;
    this.#slow = options.tolerance;
    this.#fine = (1 + options.tolerance) / 2;
    this.#limit = options.initial;
    this.#sinceMs = clock.now();
    this.#nextTrialMs = this.#sinceMs;
  }

  get current(): number {
    return Math.round(this.#limit);
  }

  kind(): Norm {
    return this.#norms.kind();
  }

  pressed(nowMs: number): void {
    if (this.#step !== undefined) this.#weigh(nowMs, this.#step);
    this.#pressed++;
    this.#pressedMs = nowMs;
  }

  ended(nowMs: number, durationMs: number, found: number, alike: number, norm: Norm, late: boolean): void {
    if (!late) this.#throughput.ended(nowMs);
    const root = rootOf(durationMs);
    const lone = this.#isLone(nowMs - durationMs, found, alike, norm);
    if (!late && (lone || !norm.isKnown)) this.#learn(nowMs, root, alike, norm);
    norm.among(alike);
    if (this.#step !== undefined) {
      if (!late) this.#step.ended();
      this.#weigh(nowMs, this.#step);
    }
    if (!norm.isKnown || nowMs - durationMs < this.#sinceMs) return;
    if (this.#skip > 0) {
      this.#skip--;
      return;
    }
    this.#calls++;
    this.#peak = Math.max(this.#peak, found);
    if (lone && alike > 1) return;
    this.#norms.judge(norm, root);
    this.#found += found;
    if (++this.#judged >= this.#nextLook) this.#look(nowMs);
  }

  /** Whether a call hardly waited for others: it was one of few. What are few is told more strictly while others find no room. */
  #isLone(sinceMs: number, found: number, alike: number, norm: Norm): boolean {
    if (alike === 1) return true;
    const share = sinceMs > this.#pressedMs ? 2 : 4;
    return alike < norm.crowd && found * share <= this.#limit;
  }

  #learn(nowMs: number, root: number, alike: number, norm: Norm): void {
    norm.learn(root, alike);
    if (++this.#lone % LONE === 0) this.#nextTrialMs = nowMs + this.#trialMs;
  }

  /** Judges the calls, if they are enough. They are looked at ever more rarely: who looks often sees what he looks for. */
  #look(nowMs: number): void {
    const n = this.#judged;
    this.#nextLook = Math.ceil(n * 1.25);
    const pressure = this.#pressed * PRESSURE > this.#calls;
    // A trial is judged by all of its calls.
    if (this.#step?.trial === true) return;
    if (this.#norms.share(this.#slow, DOUBT) < PASS) {
      // What it has come to so far is weighed first.
      if (this.#step?.weighed === false) return;
      this.#fall(nowMs, pressure);
    } else {
      const found = this.#found / n;
      const room = this.#norms.share(this.#fine, -DOUBT_OF_ROOM);
      if (room > ROOM && n >= found) this.#rise(room);
      else if (n < MANY || n < 2 * found) return;
      else if (pressure && nowMs >= this.#nextTrialMs && this.current > this.#min)
        this.#down(nowMs, this.#limit / 2, true);
    }
    this.#restart();
  }

  #rise(room: number): void {
    if (this.#step?.weighed === true) this.#step = undefined;
    if (this.#pressed > 0) this.#set(this.#limit * Math.min(RISE, 1 + (room - ROOM) * 5));
  }

  #fall(nowMs: number, pressure: boolean): void {
    const wanted = this.#limit * Math.max(STEEPEST, this.#norms.share(this.#slow, 0));
    if (!pressure) this.#set(Math.min(this.#limit, Math.max(EASE * this.#peak, wanted)));
    // With the fewest there can be, this is what calls take.
    else if (this.current <= this.#min) this.#norms.adoptJudged(1);
    else this.#down(nowMs, wanted, false);
  }

  #down(nowMs: number, limit: number, trial: boolean): void {
    if (this.#step === undefined || trial) {
      this.#norms.remember();
      this.#step = new Step(nowMs, this.#limit, this.#norms.inFlight, this.#throughput, trial);
    } else this.#step.again(undefined, false);
    this.#jump(nowMs, limit);
  }

  /** What has come of it that the limit went down? */
  #weigh(nowMs: number, step: Step): void {
    // Without pressure there is no telling.
    if (step.isOver(this.#pressedMs, nowMs)) {
      this.#step = undefined;
      if (step.trial) this.#jump(nowMs, step.limit);
      return;
    }
    const { inFlight } = this.#norms;
    if (step.isDraining) {
      if (inFlight <= this.current) step.again(nowMs, false);
      return;
    }
    const share = step.share(nowMs, step.trial ? THOROUGH : 1);
    if (share === undefined) return;
    if (step.trial) this.#endTrial(nowMs, step, share >= AS_MUCH);
    else if (share < LESS && this.current <= step.inFlight * FEWER) {
      // Fewer do less: they did not wait for each other, or not that much. This is what calls take.
      this.#norms.adopt(Math.max(1, (step.inFlight / this.current) * share));
      this.#step = undefined;
      this.#jump(nowMs, step.limit);
    } else step.again(nowMs, true);
  }

  #endTrial(nowMs: number, step: Step, asMuch: boolean): void {
    this.#step = undefined;
    if (asMuch) {
      // The others only waited for them.
      this.#norms.adoptJudged(this.#slow);
      this.#trialMs = TRIAL_MS;
      if (this.current > this.#min) return this.#down(nowMs, this.#limit / 2, true);
    } else this.#trialMs = Math.min(RAREST * TRIAL_MS, this.#trialMs * 2);
    this.#nextTrialMs = nowMs + Math.max(this.#trialMs, (nowMs - this.#sinceMs) / TRIAL_SHARE);
    if (!asMuch) this.#jump(nowMs, step.limit);
  }

  #jump(nowMs: number, limit: number): void {
    this.#set(limit);
    this.#sinceMs = nowMs;
    this.#skip = this.current;
    this.#restart();
  }

  #set(limit: number): void {
    this.#limit = Math.max(this.#min, Math.min(this.#max, limit));
    this.#norms.noMoreThan(this.#limit);
  }

  /** Forgets the calls judged. */
  #restart(): void {
    this.#judged = this.#found = this.#calls = this.#pressed = this.#peak = 0;
    this.#nextLook = FEW;
    this.#norms.restart();
  }
}

/**
 * A limit that finds out how many calls at a time are of use: more only wait for each other.
 *
 * What calls of a method take while hardly any others are in flight is its norm. When calls take more than `tolerance` times their
 * norm the limit falls, and rises when it is in the way while they do not. Whether that was right is told by what calls do: when
 * fewer in flight get less done, those before did not wait for each other but were slower in themselves, a downstream perhaps, and
 * that is the new norm. Where overload lasts, so that no call is ever alone, it is tried from time to time whether half as many get
 * as much done; then they stay.
 *
 * After the gradient limiters (Netflix concurrency-limits, Envoy adaptive concurrency), whose norm drifts with the load or needs
 * idle times, and Little's law (Little, 1961): what is in flight is throughput times latency. `npm run sim -- limits`
 * shows it beside the others of its family.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function adaptiveLimit(options: AdaptiveLimitOptions = {}): LimitFactory {
  const { min = 1, max = 1000, tolerance = 2 } = options;
  const { initial = Math.min(max, Math.max(min, 50)) } = options;
  if (!(min >= 1)) throw new RangeError(`adaptiveLimit: min must be 1 or more, got ${min}`);
  if (!(max >= min)) throw new RangeError(`adaptiveLimit: max must not be below min, got ${max}`);
  if (!(initial >= min && initial <= max)) {
    throw new RangeError(`adaptiveLimit: initial must be from ${min} to ${max}, got ${initial}`);
  }
  if (!(tolerance > 1)) throw new RangeError(`adaptiveLimit: tolerance must be above 1, got ${tolerance}`);
  return (clock) => new AdaptiveLimit(clock, { initial, min, max, tolerance });
}
