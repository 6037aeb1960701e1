import type { Clock } from "../../clock/clock.ts";
import type { Context } from "../../context/context.ts";
import { afterFunc, remainingMs } from "../../context/with.ts";
import { outgoingCallKey } from "../../endpoint/observer.ts";
import { type Priority, priorities, priorityOf } from "../../metadata/priority.ts";
import type { Limit } from "./limit.ts";
import { Place, WaitingLine } from "./waiting-line.ts";

/** What a {@link Gate} is made with. */
export interface GateSettings {
  readonly clock: Clock;
  readonly limit: Limit;
  readonly maxQueued: number;
  readonly targetMs: number;
  readonly intervalMs: number;
  /** Makes the error of a call that is not let in. */
  readonly refusal: (why: string) => Error;
}

/** How a {@link Gate} stands. */
export interface GateState {
  /** Calls that may be in flight. */
  readonly limit: number;
  readonly inFlight: number;
  readonly queued: number;
  /** Calls refused so far, by priority. */
  readonly refused: Readonly<Record<Priority, number>>;
}

/**
 * Lets so many calls in at a time. What comes on top waits for a moment, the most important first, and is refused when the wait
 * would not be for a moment.
 *
 * Algorithm: controlled delay with adaptive LIFO. A queue that was empty within the last `intervalMs` takes up a burst: first in,
 * first out. One that has stood for longer is a sign of overload: the newest goes first, whose caller is the least likely to have
 * given up, and what has waited longer than twice the target is refused. After CoDel (Nichols and Jacobson, ACM Queue 10(5),
 * 2012) and its form for servers in folly (Maurer, "Fail at Scale", ACM Queue 13(8), 2015).
 */
export class Gate {
  readonly #settings: GateSettings;
  readonly #limit: Limit;
  readonly #line = new WaitingLine();
  readonly #refused: Record<Priority, number> = { critical: 0, default: 0, sheddable: 0 };
  #inFlight = 0;
  /** When it was last seen that nobody, or only who came lately, waits. */
  #relaxedMs: number;
  #refusedMs = -Infinity;

  constructor(settings: GateSettings) {
    this.#settings = settings;
    this.#limit = settings.limit;
    this.#relaxedMs = settings.clock.now();
  }

  get state(): GateState {
    const { current } = this.#limit;
    return { limit: current, inFlight: this.#inFlight, queued: this.#line.size, refused: { ...this.#refused } };
  }

  /** Lets a call in at once if there is room. */
  tryEnter(): boolean {
    if (this.#inFlight >= this.#limit.current || this.#line.size > 0) return false;
    this.#inFlight++;
    return true;
  }

  /**
   * Waits to be let in.
   *
   * @throws the refusal, or the context's error when it ends before.
   */
  enter(ctx: Context): Promise<void> {
    const { clock, maxQueued, refusal } = this.#settings;
    const priority = priorityOf(ctx);
    const nowMs = clock.now();
    this.#limit.pressed();
    this.#refuseLate(nowMs);
    if (this.#line.size >= maxQueued) {
      const victim = maxQueued === 0 ? undefined : this.#line.leastImportant(priorities.indexOf(priority));
      if (victim === undefined) {
        this.#refusedMs = nowMs;
        this.#refused[priority]++;
        return Promise.reject(refusal(`${this.#inFlight} calls are in flight and ${this.#line.size} wait`));
      }
      this.#refuse(victim, "others that matter more or came later took its place");
    }
    const unloadedMs = this.#limit.unloadedMs ?? 0;
    if (remainingMs(ctx) < unloadedMs / 4) {
      this.#refused[priority]++;
      return Promise.reject(refusal("too little time is left to wait"));
    }
    const waited = ctx.value(outgoingCallKey)?.waits("concurrency limit");
    return new Promise((resolve, reject) => {
      const place = new Place(priority, nowMs, (error) => {
        stop();
        waited?.(error);
        if (error === undefined) resolve();
        else reject(error);
      });
      const stop = afterFunc(ctx, () => {
        this.#line.remove(place);
        place.leave(ctx.err);
      });
      this.#line.add(place);
    });
  }

  /**
   * A call that was let in has ended.
   *
   * @param durationMs - undefined when it tells nothing of the load: it failed at once, or was not for the handler.
   */
  leave(durationMs: number | undefined, nowMs: number): void {
    if (durationMs !== undefined) this.#limit.ended(nowMs, durationMs, this.#inFlight);
    this.#inFlight--;
    this.#admit(nowMs);
  }

  #admit(nowMs: number): void {
    if (this.#line.size === 0) {
      if (this.#inFlight < this.#limit.current) this.#relax(nowMs);
      return;
    }
    this.#refuseLate(nowMs);
    while (this.#inFlight < this.#limit.current) {
      const place = this.#line.first(this.#newestFirst(nowMs));
      if (place === undefined || nowMs - place.sinceMs < this.#targetMs()) this.#relax(nowMs);
      if (place === undefined) break;
      this.#line.remove(place);
      this.#inFlight++;
      place.leave(undefined);
    }
  }

  /** What is critical is let in in its order for longer: all of it is to be served, unless even that is too much. */
  #newestFirst(nowMs: number): boolean {
    const critical = this.#line.oldest(0);
    return this.#standing(nowMs) && (critical === undefined || nowMs - critical.sinceMs > this.#intervalMs());
  }

  /** Nobody waits for long; that counts when nobody had to be refused for it. */
  #relax(nowMs: number): void {
    if (nowMs - this.#refusedMs > this.#intervalMs()) this.#relaxedMs = nowMs;
  }

  /** Whether the queue has stood for longer than a burst takes. */
  #standing(nowMs: number): boolean {
    return nowMs - this.#relaxedMs > this.#intervalMs();
  }

  /** Refuses those that have waited too long, the oldest first. What is critical waits as long as its caller does. */
  #refuseLate(nowMs: number): void {
    const bound = this.#standing(nowMs) ? 2 * this.#targetMs() : this.#intervalMs();
    for (let rank = priorities.indexOf("default"); rank < priorities.length; rank++) {
      for (let place = this.#line.oldest(rank); place !== undefined; place = this.#line.oldest(rank)) {
        const waitedMs = nowMs - place.sinceMs;
        if (waitedMs <= bound) break;
        this.#refuse(place, `it has waited ${waitedMs.toFixed(0)} ms`);
      }
    }
  }

  #targetMs(): number {
    return Math.max(this.#settings.targetMs, this.#limit.unloadedMs ?? 0);
  }

  /** At least thirty calls' time: what is short is told by what calls take. */
  #intervalMs(): number {
    return Math.max(this.#settings.intervalMs, 30 * (this.#limit.unloadedMs ?? 0));
  }

  #refuse(place: Place, why: string): void {
    this.#line.remove(place);
    this.#refusedMs = this.#settings.clock.now();
    this.#refused[priorities[place.rank]!]++;
    place.leave(this.#settings.refusal(why));
  }
}
