import type { Clock } from "../../clock/clock.ts";
import type { Context } from "../../context/context.ts";
import { afterFunc, remainingMs } from "../../context/with.ts";
import { outgoingCallKey } from "../../endpoint/observer.ts";
import type { ServiceError } from "../../errors/service-error.ts";
import { type Priority, priorities, priorityOf } from "../../metadata/priority.ts";
import type { Limit } from "./limit.ts";
import { LOOK_MS, LoopLag } from "./loop-lag.ts";
import { Rate } from "./rate.ts";
import { Place, WaitingLine } from "./waiting-line.ts";

/** What a {@link Gate} is made with. */
export interface GateSettings {
  readonly clock: Clock;
  readonly limit: Limit;
  readonly maxQueued: number;
  readonly targetMs: number;
  readonly intervalMs: number;
  /** Makes the error of a call that is not let in. */
  readonly refusal: (why: string) => ServiceError;
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
 * given up, and what has waited longer than twice the target is refused. While the event loop itself is late nobody is let in: what a
 * handler computes in one piece is in flight for no one to see, and the calls that it holds up are in the kernel. After CoDel (Nichols and Jacobson, ACM Queue 10(5),
 * 2012) and its form for servers in folly (Maurer, "Fail at Scale", ACM Queue 13(8), 2015).
 */
export class Gate {
  readonly #settings: GateSettings;
  readonly #limit: Limit;
  readonly #line = new WaitingLine();
  readonly #lag: LoopLag;
  readonly #left = new Rate();
  readonly #refused: Record<Priority, number> = { critical: 0, default: 0, sheddable: 0 };
  #inFlight = 0;
  /** When it was last seen that nobody, or only who came lately, waits. */
  #relaxedMs: number;
  #refusedMs = -Infinity;

  constructor(settings: GateSettings) {
    this.#settings = settings;
    this.#limit = settings.limit;
    this.#relaxedMs = settings.clock.now();
    this.#lag = new LoopLag(
      settings.clock,
      settings.targetMs,
      () => this.#inFlight > 0 || this.#line.size > 0,
      (nowMs) => this.#admit(nowMs),
    );
  }

  get state(): GateState {
    const { current } = this.#limit;
    return { limit: current, inFlight: this.#inFlight, queued: this.#line.size, refused: { ...this.#refused } };
  }

  /** Lets a call in at once if there is room. */
  tryEnter(nowMs: number): boolean {
    this.#lag.start(nowMs);
    if (this.#line.size > 0 || !this.#hasRoom(nowMs)) return false;
    this.#inFlight++;
    return true;
  }

  #hasRoom(nowMs: number): boolean {
    return this.#inFlight < this.#limit.current && this.#inFlight < this.#lag.limit && !this.#isLate(nowMs);
  }

  #isLate(nowMs: number): boolean {
    return this.#lag.lateMs(nowMs) > LOOK_MS;
  }

  /**
   * Whether a call would be refused as things stand, told before anything is known but its context.
   *
   * @returns the refusal.
   */
  refuses(ctx: Context): ServiceError | undefined {
    const { clock, maxQueued } = this.#settings;
    if (this.#line.size === 0 && this.#inFlight < this.#limit.current && this.#inFlight < this.#lag.limit)
      return undefined;
    const nowMs = clock.now();
    if (this.#line.size === 0) this.#relax(nowMs);
    else if (!this.#hasRoom(nowMs) && !this.#isLate(nowMs)) this.#refuseLate(nowMs);
    const priority = priorityOf(ctx);
    const rank = priorities.indexOf(priority);
    const ahead = this.#line.sizeUpTo(rank);
    if (rank > 0 && ahead >= this.#useful(nowMs)) {
      return this.#turnAway(priority, nowMs, `${ahead} calls wait already, more than can be served in time`);
    }
    if (this.#line.size >= maxQueued && (maxQueued === 0 || this.#line.leastImportant(rank) === undefined)) {
      return this.#turnAway(priority, nowMs, `${this.#inFlight} calls are in flight and ${this.#line.size} wait`);
    }
    if (remainingMs(ctx) < (this.#limit.unloadedMs ?? 0) / 4) {
      return this.#turnAway(priority, undefined, "too little time is left to wait");
    }
    return undefined;
  }

  /** @param refusedMs - when it is for want of room. */
  #turnAway(priority: Priority, refusedMs: number | undefined, why: string): ServiceError {
    if (refusedMs !== undefined) {
      this.#refusedMs = refusedMs;
      this.#limit.pressed();
      this.#lag.press(refusedMs);
    }
    this.#refused[priority]++;
    return this.#settings.refusal(why);
  }

  /** While the queue stands: so many of those that wait will be served before they have waited too long. */
  #useful(nowMs: number): number {
    if (!this.#standing(nowMs)) return Infinity;
    return Math.max(2, Math.ceil(2 * this.#targetMs() * this.#left.perMs(nowMs)));
  }

  /**
   * Waits to be let in.
   *
   * @throws the refusal, or the context's error when it ends before.
   */
  enter(ctx: Context): Promise<void> {
    const refused = this.refuses(ctx);
    if (refused !== undefined) return Promise.reject(refused);
    const { clock, maxQueued } = this.#settings;
    const priority = priorityOf(ctx);
    const nowMs = clock.now();
    this.#limit.pressed();
    this.#lag.press(nowMs);
    if (this.#line.size >= maxQueued) {
      this.#refuse(this.#line.leastImportant(priorities.indexOf(priority))!, "others that matter more took its place");
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
    this.#lag.ended(this.#inFlight);
    this.#left.add(nowMs);
    if (durationMs !== undefined) this.#limit.ended(nowMs, durationMs, this.#inFlight);
    this.#inFlight--;
    this.#admit(nowMs);
  }

  /**
   * Lets in one of those that wait, then looks again: what it computes at once may have made the loop late. Who has waited too long is
   * refused when there is no room: a process that stood still for a moment has made everybody wait, and can serve them all.
   */
  #admit(nowMs: number): void {
    if (this.#line.size === 0) {
      if (this.#inFlight < this.#limit.current) this.#relax(nowMs);
      return;
    }
    if (!this.#hasRoom(nowMs)) return this.#refuseLate(nowMs);
    const place = this.#line.first(this.#newestFirst(nowMs))!;
    if (nowMs - place.sinceMs < this.#targetMs()) this.#relax(nowMs);
    this.#line.remove(place);
    this.#inFlight++;
    place.leave(undefined);
    if (this.#line.size > 0) queueMicrotask(this.#admitNext);
  }

  readonly #admitNext = (): void => this.#admit(this.#settings.clock.now());

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
