import type { Clock, Timer } from "../clock/clock.ts";
import type { Random } from "../clock/random.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";

/** A message in hand. */
export interface RefusedMessage {
  /** Hands it to its handler again. Must not throw. */
  again(): void;
}

/** How long refused messages wait where the policy says nothing: `firstMs`, doubled with each try in vain to `maxMs`, which also bounds what a policy says. */
export interface RefusedPauses {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** After one that has not been refused yet, the next is tried: a policy may take its time to refuse. */
const PACE_MS = 1;

/** The messages of a method that wait. */
class Line<M> {
  readonly waiting = new Set<M>();
  timer: Timer | undefined;
  /** Whether one was refused and the pause after it is not over. */
  paused = false;
  /** Tries in vain since the last message that was handled. */
  tries = 0;
  /** A policy has said that it is of no use to try before. */
  notBeforeMs = -Infinity;
}

/**
 * Messages that a policy has refused, and what came behind them: they stay in hand, so that no more is asked for than can be handled. Of each method one is
 * tried at a time: after the pause that the policy asks for, or one that doubles; and whenever another was handled, which makes room. While none is
 * refused, the others follow.
 */
export class RefusedMessages<M extends RefusedMessage> {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #pauses: RefusedPauses;
  readonly #lines = new Map<MethodInfo, Line<M>>();

  constructor(clock: Clock, random: Random, pauses: RefusedPauses) {
    this.#clock = clock;
    this.#random = random;
    this.#pauses = pauses;
  }

  /** Whether a message that has just come must wait behind others. If so, it is tried in its turn. */
  waits(method: MethodInfo, message: M): boolean {
    const line = this.#lines.get(method);
    if (line === undefined || line.waiting.size === 0) return false;
    line.waiting.add(message);
    return true;
  }

  /**
   * A message was refused: it is tried again.
   *
   * @param afterMs - how long the policy wants it to wait, milliseconds; undefined if it does not say.
   */
  refused(method: MethodInfo, message: M, afterMs: number | undefined): void {
    const { maxMs } = this.#pauses;
    let line = this.#lines.get(method);
    if (line === undefined) this.#lines.set(method, (line = new Line()));
    line.waiting.add(message);
    const toldMs = afterMs === undefined || !(afterMs > 0) ? 0 : Math.min(maxMs, afterMs);
    line.notBeforeMs = Math.max(line.notBeforeMs, this.#clock.now() + toldMs);
    // Those that are refused together are one try.
    if (line.paused) return;
    line.tries++;
    this.#pause(line, toldMs);
  }

  #pause(line: Line<M>, toldMs: number): void {
    const { firstMs, maxMs } = this.#pauses;
    const ownMs = Math.min(maxMs, firstMs * 2 ** Math.max(0, line.tries - 1)) * (1 - this.#random.next() / 4);
    line.paused = true;
    this.#try(line, toldMs > 0 ? Math.max(PACE_MS, toldMs) : ownMs);
  }

  #try(line: Line<M>, delayMs: number): void {
    line.timer?.cancel();
    line.timer = this.#clock.schedule(delayMs, () => {
      line.timer = undefined;
      line.paused = false;
      this.#next(line);
      if (line.waiting.size > 0 && !line.paused) this.#try(line, PACE_MS);
    });
    line.timer.unref();
  }

  #next({ waiting }: Line<M>): void {
    const [first] = waiting;
    if (first === undefined) return;
    waiting.delete(first);
    first.again();
  }

  /** A message of the method was not refused, and its handler has ended. */
  handled(method: MethodInfo): void {
    const line = this.#lines.get(method);
    if (line === undefined || line.waiting.size === 0 || this.#clock.now() < line.notBeforeMs) return;
    if (line.tries > 0) {
      line.tries = 0;
      if (line.paused) this.#pause(line, 0);
    }
    this.#next(line);
  }

  /** Forgets a message. Returns whether it waited. */
  remove(method: MethodInfo, message: M): boolean {
    return this.#lines.get(method)?.waiting.delete(message) ?? false;
  }

  /** Forgets all messages, and returns those that waited. */
  leave(): M[] {
    const all: M[] = [];
    for (const { waiting, timer } of this.#lines.values()) {
      timer?.cancel();
      all.push(...waiting);
    }
    this.#lines.clear();
    return all;
  }
}
