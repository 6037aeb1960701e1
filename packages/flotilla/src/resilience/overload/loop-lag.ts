import type { Clock, EventLoop } from "../../clock/clock.ts";

/** How often it is looked whether the loop comes round, milliseconds: so long may what is let in keep it, too. */
export const LOOK_MS = 5;
/** What is told of the loop is told of so long at least, milliseconds. */
const WINDOW_MS = 100;
/** A loop that is idle for more than this share of the time has no more to do than it can. */
const IDLE = 0.05;
/** What waits for a busy loop may wait so many times as long as one call keeps it busy: where that is more than is wished, it cannot be had. */
const TARGET_CALLS = 1.5;
/** The limit falls to no less than this share at once, and grows by so much. */
const STEEPEST = 0.5;
const GROWTH = 1.1;

/**
 * How busy an event loop is. What computes in one piece is never seen in flight, and what has arrived meanwhile is in the kernel,
 * where nobody sees it either; but the loop comes round late, and how late says how long things wait.
 *
 * A look that was due every `LOOK_MS` and came `late` after that tells of the wait of whatever arrived in between: `late / 2` on average,
 * and all looks together of the mean wait of an arrival at any moment, `Σ late² / (2 Σ (LOOK_MS + late))`. While the loop is never
 * idle and that is too long, fewer calls are let in at a time.
 *
 * It looks only while it is wanted, and never keeps the process alive. Without a loop it tells nothing.
 */
export class LoopLag {
  readonly #clock: Clock;
  readonly #loop: EventLoop | undefined;
  readonly #targetMs: number;
  readonly #wanted: () => boolean;
  readonly #onLook: (nowMs: number) => void;
  #limit = Infinity;
  #dueMs = Infinity;
  /** Whether a look is to be had as soon as the loop comes round. */
  #soon = false;
  // Of the window: its length, the sum of the squares of the delays, calls that ended, the most in flight, and whether calls had to wait.
  #windowMs = 0;
  #squares = 0;
  #ended = 0;
  #peak = 0;
  #pressed = false;
  #idleMs = 0;
  /** Whether the window before was too busy: once may be chance, a garbage collection, or a neighbour on the machine. */
  #wasBusy = false;

  /**
   * @param targetMs - what waits for a busy loop may wait so long on average.
   * @param wanted - asked at every look whether to go on.
   * @param onLook - called each time the loop has come round.
   */
  constructor(clock: Clock, targetMs: number, wanted: () => boolean, onLook: (nowMs: number) => void) {
    this.#clock = clock;
    this.#loop = clock.loop;
    this.#targetMs = targetMs;
    this.#wanted = wanted;
    this.#onLook = onLook;
  }

  /** Calls that may be in flight; Infinity while the loop has time. */
  get limit(): number {
    return this.#limit;
  }

  /** Looks from now on. Harmless when it does already. */
  start(nowMs: number): void {
    if (this.#dueMs < Infinity || this.#loop === undefined) return;
    this.#wasBusy = false;
    this.#open(this.#loop.idleMs());
    this.#arm(nowMs);
  }

  /** How long the loop has been due to come round, milliseconds; 0 or less when it is in time. */
  lateMs(nowMs: number): number {
    return nowMs - this.#dueMs;
  }

  /** A call has to wait. Where that is for the loop it is looked at as soon as that comes round. */
  press(nowMs: number): void {
    this.#pressed = true;
    if (this.#soon || this.#loop === undefined || this.lateMs(nowMs) <= 0) return;
    this.#soon = true;
    this.#loop.whenRound(() => {
      this.#soon = false;
      const roundMs = this.#clock.now();
      if (this.#dueMs < Infinity) this.#cameRound(roundMs);
      this.#onLook(roundMs);
    });
  }

  /** A call has ended. @param inFlight - itself included. */
  ended(inFlight: number): void {
    this.#ended++;
    if (inFlight > this.#peak) this.#peak = inFlight;
  }

  #arm(nowMs: number): void {
    this.#dueMs = nowMs + LOOK_MS;
    // A timer alone would not do: timers that are due one after the other keep the loop from coming round.
    this.#clock.schedule(LOOK_MS, () => this.#loop!.whenRound(this.#look)).unref();
  }

  readonly #look = (): void => {
    const nowMs = this.#clock.now();
    this.#cameRound(nowMs);
    this.#dueMs = Infinity;
    if (this.#wanted()) this.#arm(nowMs);
    this.#onLook(nowMs);
  };

  #cameRound(nowMs: number): void {
    const lateMs = Math.max(0, this.lateMs(nowMs));
    this.#windowMs += LOOK_MS + this.lateMs(nowMs);
    this.#squares += lateMs * lateMs;
    if (this.#windowMs >= WINDOW_MS) this.#judge();
    this.#dueMs = nowMs + LOOK_MS;
  }

  #judge(): void {
    const idleMs = this.#loop!.idleMs();
    const waitMs = this.#squares / (2 * this.#windowMs);
    const toleratedMs = Math.max(this.#targetMs, (TARGET_CALLS * this.#windowMs) / Math.max(1, this.#ended));
    const busy = idleMs - this.#idleMs < IDLE * this.#windowMs && waitMs > toleratedMs;
    if (busy && this.#wasBusy) {
      const share = Math.max(STEEPEST, toleratedMs / waitMs);
      this.#limit = Math.max(1, Math.floor(Math.min(this.#limit, this.#peak) * share));
    } else if (!busy && this.#limit < Infinity) {
      if (this.#pressed) this.#limit = this.#limit * GROWTH + 1;
      if (this.#limit > 2 * this.#peak + 10) this.#limit = Infinity;
    }
    this.#wasBusy = busy;
    this.#open(idleMs);
  }

  /** Begins a window. */
  #open(idleMs: number): void {
    this.#idleMs = idleMs;
    this.#windowMs = 0;
    this.#squares = 0;
    this.#ended = 0;
    this.#peak = 0;
    this.#pressed = false;
  }
}
