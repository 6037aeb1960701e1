import type { Clock } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import type { Context } from "../context/context.ts";
import { withTimeout } from "../context/with.ts";
import { type Code, isCode } from "../errors/code.ts";
import { ServiceError } from "../errors/service-error.ts";
import { type Priority, withPriority } from "../metadata/priority.ts";
import { Histogram } from "./histogram.ts";

/** Options of a stream of calls. */
export interface TrafficOptions {
  /** Calls a second, or how many at a time in milliseconds since the traffic began. Open loop: they come whatever became of the earlier ones. */
  readonly perSecond: number | ((atMs: number) => number);
  /** Root of the contexts of the calls: that of the process they come from, or which one the next call has. */
  readonly ctx: Context | (() => Context);
  /** Makes one call. @param n - 0, 1, 2, ... */
  readonly call: (ctx: Context, n: number) => Promise<unknown>;
  /** How long the caller waits, milliseconds. Default: as long as it takes. */
  readonly timeoutMs?: number;
  /** How much the calls matter. Default `default`. */
  readonly priority?: Priority;
  /** How calls are spaced: by chance, as those of many independent users, or evenly. Default `poisson`. */
  readonly arrivals?: "poisson" | "even";
}

/** What became of the calls that began within one interval. */
export class Interval {
  began = 0;
  ok = 0;
  readonly failed: Partial<Record<Code, number>> = {};
  /** Milliseconds, of the calls that succeeded. */
  readonly latency = new Histogram();
}

/** How often a rate is looked at that changes with time, milliseconds. */
const LOOK_MS = 50;

/** Calls made by the open loop, and what became of them. */
export class Traffic {
  readonly name: string;
  readonly #options: TrafficOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #startMs: number;
  readonly #intervalMs: number;
  readonly #intervals: Interval[] = [];
  #n = 0;
  #pending = 0;
  #live = true;
  readonly #look = (): void => this.#next();
  readonly #arrive = (): void => {
    if (!this.#live) return;
    this.#begin();
    this.#next();
  };

  /** @param clock - that of the world, which is right. */
  constructor(name: string, options: TrafficOptions, clock: Clock, random: Random, intervalMs: number) {
    this.name = name;
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
    this.#startMs = clock.now();
    this.#intervalMs = intervalMs;
    this.#next();
  }

  /** Calls that have begun and not ended. */
  get pending(): number {
    return this.#pending;
  }

  /** Interval by interval since the traffic began: calls stand where they began. */
  get intervals(): readonly Interval[] {
    return this.#intervals;
  }

  /** When the traffic began, on the world's clock. */
  get startMs(): number {
    return this.#startMs;
  }

  /** No more calls; those that run go on. */
  stop(): void {
    this.#live = false;
  }

  /**
   * All that began in a span of time, milliseconds since the traffic began, rounded to intervals.
   *
   * @param fromMs - Default 0.
   * @param toMs - Default: the end.
   */
  between(fromMs = 0, toMs = Infinity): Interval {
    const sum = new Interval();
    const end = Math.min(this.#intervals.length, Math.round(toMs / this.#intervalMs));
    for (let i = Math.round(fromMs / this.#intervalMs); i < end; i++) {
      const interval = this.#intervals[i];
      if (interval === undefined) continue;
      sum.began += interval.began;
      sum.ok += interval.ok;
      for (const [code, count] of Object.entries(interval.failed)) {
        sum.failed[code as Code] = (sum.failed[code as Code] ?? 0) + count;
      }
      sum.latency.add(interval.latency);
    }
    return sum;
  }

  #next(): void {
    if (!this.#live) return;
    const { perSecond, arrivals = "poisson" } = this.#options;
    const rate = typeof perSecond === "number" ? perSecond : perSecond(this.#clock.now() - this.#startMs);
    if (!(rate > 0)) {
      this.#clock.schedule(LOOK_MS, this.#look);
      return;
    }
    const gap = arrivals === "even" ? 1000 / rate : (-1000 / rate) * Math.log(1 - this.#random.next());
    if (typeof perSecond === "function" && arrivals === "poisson" && gap > LOOK_MS) {
      // The rate may change meanwhile. By chance nothing is lost: the wait that is left is as long as a new one.
      this.#clock.schedule(LOOK_MS, this.#look);
      return;
    }
    this.#clock.schedule(gap, this.#arrive);
  }

  #begin(): void {
    const { call, priority, timeoutMs } = this.#options;
    const began = this.#clock.now();
    const interval = (this.#intervals[Math.floor((began - this.#startMs) / this.#intervalMs)] ??= new Interval());
    interval.began++;
    this.#pending++;
    const { ctx: root } = this.#options;
    let ctx = typeof root === "function" ? root() : root;
    if (priority !== undefined) ctx = withPriority(ctx, priority);
    const limited = timeoutMs === undefined ? undefined : withTimeout(ctx, timeoutMs);
    call(limited ?? ctx, this.#n++).then(
      () => {
        limited?.cancel();
        this.#pending--;
        interval.ok++;
        interval.latency.record(this.#clock.now() - began);
      },
      (error: unknown) => {
        limited?.cancel();
        this.#pending--;
        const { code } = ServiceError.from(error);
        const key = isCode(code) ? code : "unknown";
        interval.failed[key] = (interval.failed[key] ?? 0) + 1;
      },
    );
  }
}
