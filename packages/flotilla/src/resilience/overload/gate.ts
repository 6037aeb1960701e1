import type { Clock } from "../../clock/clock.ts";
import type { Context } from "../../context/context.ts";
import { afterFunc } from "../../context/with.ts";
import { outgoingCallKey } from "../../endpoint/observer.ts";
import type { ServiceError } from "../../errors/service-error.ts";
import { type Priority, priorities, priorityOf } from "../../metadata/priority.ts";
import type { Kind, Limit } from "./limit.ts";
import { LOOK_MS, LoopLag } from "./loop-lag.ts";
import { Thinning } from "./thinning.ts";
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
 * It is overload when a call has waited while so many others ended, half of them from then on; until as many have ended without
 * anybody being refused.
 */
const PATIENCE = 60;
/** A line that is longer is no burst any more, critical calls apart: the newest goes first. In overload it gets no longer. */
const LONG = 30;
const CRITICAL = priorities.indexOf("critical");

/** A call in flight: what it found. */
export interface Stay {
  readonly kind: Kind;
  /** Calls in flight, itself included, and of these those of its kind. */
  readonly found: number;
  readonly alike: number;
}

/**
 * Lets so many calls in at a time. What comes on top waits, the most important first.
 *
 * Algorithm: adaptive LIFO (Maurer, "Fail at Scale", ACM Queue 13(8), 2015). A short line is a burst: first in, first out. It is overload when
 * somebody has waited for long, told by how many others were served meanwhile, so that it needs no measure of what is long; then the newest goes first,
 * whose caller is the least likely to have given up, the line gets no longer, and who has waited for long is refused.
 *
 * While the event loop itself is late nobody is let in: what a handler computes in one piece is in flight for no one to see, and the calls
 * that it holds up are in the kernel.
 */
export class Gate {
  readonly #settings: GateSettings;
  readonly #limit: Limit;
  readonly #line = new WaitingLine();
  readonly #lag: LoopLag;
  readonly #thinning = priorities.map(() => new Thinning());
  readonly #refused: Record<Priority, number> = { critical: 0, default: 0, sheddable: 0 };
  #inFlight = 0;
  /** Calls that have ended so far. */
  #ended = 0;
  #overloaded = false;
  // When somebody was refused last: in time, and in calls.
  #refusedMs = 0;
  #refusedAt = 0;

  constructor(settings: GateSettings) {
    this.#settings = settings;
    this.#limit = settings.limit;
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
    return this.#inFlight < this.#limit.current && this.#inFlight < this.#lag.limit && !this.#isBusy(nowMs);
  }

  /** Whether the event loop has not come round in time. */
  #isBusy(nowMs: number): boolean {
    return this.#lag.lateMs(nowMs) > LOOK_MS;
  }

  /**
   * Whether a call would be refused as things stand, told before anything is known but its context.
   *
   * @returns the refusal.
   */
  refuses(ctx: Context): ServiceError | undefined {
    if (this.#line.size < this.#settings.maxQueued && !this.#overloaded) return undefined;
    const nowMs = this.#settings.clock.now();
    if (this.#line.size === 0 && this.#hasRoom(nowMs)) return undefined;
    const rank = priorities.indexOf(priorityOf(ctx));
    if (!this.#isFull(rank, nowMs)) return undefined;
    const victim = this.#victim(rank);
    if (victim !== undefined && (victim.rank > rank || !this.#thinning[rank]!.refuses())) return undefined;
    this.#thinning[rank]!.asked();
    return this.#turnAway(rank, nowMs);
  }

  #turnAway(rank: number, nowMs: number): ServiceError {
    this.#limit.pressed(nowMs);
    this.#lag.press(nowMs);
    this.#count(rank, nowMs);
    // That nobody found room may have been what the limit waited for.
    if (this.#hasRoom(nowMs)) this.#admit(nowMs);
    const loop = this.#inFlight < this.#limit.current ? ", for the event loop has no time" : "";
    return this.#settings.refusal(`${this.#inFlight} calls are in flight and ${this.#line.size} wait${loop}`);
  }

  /**
   * Waits to be let in.
   *
   * @throws the refusal, or the context's error when it ends before.
   */
  enter(ctx: Context): Promise<void> {
    const priority = priorityOf(ctx);
    const rank = priorities.indexOf(priority);
    const nowMs = this.#settings.clock.now();
    this.#thinning[rank]!.asked();
    if (!this.#hasRoom(nowMs) && !this.#isBusy(nowMs)) this.#refuseLate(nowMs);
    if (this.#isFull(rank, nowMs)) {
      const victim = this.#victim(rank);
      if (victim === undefined) return Promise.reject(this.#turnAway(rank, nowMs));
      this.#refuse(victim, nowMs, "others that matter more or came later took its place");
    }
    this.#limit.pressed(nowMs);
    this.#lag.press(nowMs);
    const waited = ctx.value(outgoingCallKey)?.waits("concurrency limit");
    return new Promise((resolve, reject) => {
      const place = new Place(priority, nowMs, this.#ended, (error) => {
        stop();
        waited?.(error);
        if (error === undefined) resolve();
        else reject(error);
      });
      const stop = afterFunc(ctx, () => {
        this.#line.remove(place);
        this.#gaveUp(place, ctx);
        place.leave(ctx.err);
      });
      this.#line.add(place);
      if (this.#hasRoom(nowMs)) this.#admit(nowMs);
    });
  }

  /** A call of this kind that was let in begins. */
  begin(kind: Kind): Stay {
    return { kind, found: this.#inFlight, alike: ++kind.inFlight };
  }

  /** The answer to a call that was let in has begun, and will last. @param durationMs - since it was let in. */
  answered(nowMs: number, stay: Stay, durationMs: number): void {
    this.#limit.ended(nowMs, durationMs, stay.found, stay.alike, stay.kind, false);
  }

  /**
   * A call that was let in has ended.
   *
   * @param durationMs - since it was let in; undefined when it tells nothing of the load: it failed at once, or was not for the handler.
   * @param late - whether it ran out of time.
   */
  leave(nowMs: number, stay: Stay, durationMs: number | undefined, late: boolean): void {
    this.#lag.ended(this.#inFlight);
    if (durationMs !== undefined) this.#limit.ended(nowMs, durationMs, stay.found, stay.alike, stay.kind, late);
    stay.kind.inFlight--;
    this.#inFlight--;
    this.#ended++;
    this.#admit(nowMs);
  }

  /**
   * Lets in one of those that wait, then looks again: what it computes at once may have made the loop late. Who has waited too long is
   * refused when there is no room: a process that stood still for a moment has made everybody wait, and can serve them all.
   */
  #admit(nowMs: number): void {
    if (this.#line.size === 0) {
      if (this.#overloaded) this.#relax(nowMs);
      return;
    }
    if (!this.#hasRoom(nowMs)) return this.#refuseLate(nowMs);
    const place = this.#line.first(this.#newestFirst(nowMs))!;
    this.#line.remove(place);
    this.#thinning[place.rank]!.letIn();
    this.#inFlight++;
    place.leave(undefined);
    if (this.#line.size > 0) queueMicrotask(this.#admitNext);
  }

  readonly #admitNext = (): void => this.#admit(this.#settings.clock.now());

  #isFull(rank: number, nowMs: number): boolean {
    // Who waits for the loop alone has a place in flight, and takes none of those in the line.
    const forLoop = this.#isBusy(nowMs) ? Math.min(LONG, this.#limit.current - this.#inFlight) : 0;
    if (this.#line.size >= Math.max(this.#settings.maxQueued, forLoop)) return true;
    return this.#overloaded && rank !== CRITICAL && this.#others >= LONG;
  }

  /** The one to refuse for one of this rank; undefined when all that wait matter more. */
  #victim(rank: number): Place | undefined {
    return this.#settings.maxQueued === 0 ? undefined : this.#line.leastImportant(rank);
  }

  /** How many wait that are not critical. */
  get #others(): number {
    return this.#line.size - this.#line.count(CRITICAL);
  }

  /** What is critical is let in in its order for longer: all of it is to be served, unless even that is too much. */
  #newestFirst(nowMs: number): boolean {
    if (!this.#overloaded && this.#others <= LONG) return false;
    const critical = this.#line.oldest(CRITICAL);
    return critical === undefined || this.#isLate(critical, nowMs);
  }

  #isLate(place: Place, nowMs: number): boolean {
    return (
      this.#ended - place.since > (this.#overloaded ? PATIENCE / 2 : PATIENCE) &&
      nowMs - place.sinceMs > this.#settings.intervalMs
    );
  }

  /** Nobody waits: it is over if nobody was refused for that. */
  #relax(nowMs: number): void {
    if (this.#ended - this.#refusedAt <= PATIENCE || nowMs - this.#refusedMs <= this.#settings.intervalMs) return;
    this.#overloaded = false;
  }

  /** Refuses those that have waited too long, the oldest first. What is critical waits as long as its caller does. */
  #refuseLate(nowMs: number): void {
    for (let rank = CRITICAL + 1; rank < priorities.length; rank++) {
      for (let place = this.#line.oldest(rank); place !== undefined; place = this.#line.oldest(rank)) {
        if (!this.#isLate(place, nowMs)) break;
        this.#refuse(place, nowMs, `the call has waited ${(nowMs - place.sinceMs).toFixed(0)} ms`);
      }
    }
  }

  #refuse(place: Place, nowMs: number, why: string): void {
    this.#line.remove(place);
    this.#count(place.rank, nowMs);
    place.leave(this.#settings.refusal(why));
  }

  /** A caller whose time is up has waited in vain, if it has waited at all. */
  #gaveUp(place: Place, ctx: Context): void {
    const nowMs = this.#settings.clock.now();
    if (ctx.err?.code === "deadline_exceeded" && nowMs - place.sinceMs > this.#settings.intervalMs)
      this.#overload(nowMs);
  }

  #count(rank: number, nowMs: number): void {
    this.#overload(nowMs);
    this.#refused[priorities[rank]!]++;
  }

  #overload(nowMs: number): void {
    this.#overloaded = true;
    this.#refusedMs = nowMs;
    this.#refusedAt = this.#ended;
  }
}
