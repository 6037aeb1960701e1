import type { Clock, Timer } from "./clock.ts";
import { TimerHeap, type Waiting } from "./timer-heap.ts";

/** A waiting timer. */
class Entry implements Timer, Waiting {
  node = -1;
  readonly callback: () => void;
  readonly #heap: TimerHeap<Entry>;

  constructor(callback: () => void, heap: TimerHeap<Entry>) {
    this.callback = callback;
    this.#heap = heap;
  }

  cancel(): void {
    if (this.node >= 0) this.#heap.remove(this);
  }

  unref(): void {}
}

/** So many timers {@link VirtualClock.run} runs between two turns of the event loop. */
const RUN_TURN = 4096;

/** Options of {@link VirtualClock}. */
export interface VirtualClockOptions {
  /** Where `epoch()` starts, milliseconds since the Unix epoch. Default 2000-01-01T00:00:00Z. */
  epochMs?: number;
}

/**
 * A clock that stands still until it is told to advance: tests of timeouts take no time and cannot flake.
 *
 * Timers run in order of time, then of creation; `now()` inside a callback is the time the callback was due. After each
 * timer the event loop is given a turn, so that promises settled by the callback have run before the next timer.
 */
export class VirtualClock implements Clock {
  #now = 0;
  readonly #epochMs: number;
  readonly #waiting = new TimerHeap<Entry>();

  constructor(options: VirtualClockOptions = {}) {
    this.#epochMs = options.epochMs ?? 946_684_800_000;
  }

  now(): number {
    return this.#now;
  }

  epoch(): number {
    return this.#epochMs + this.#now;
  }

  /** How many timers are waiting. */
  get pending(): number {
    return this.#waiting.size;
  }

  schedule(delayMs: number, callback: () => void): Timer {
    const entry = new Entry(callback, this.#waiting);
    this.#waiting.add(this.#now + (delayMs > 0 ? delayMs : 0), entry);
    return entry;
  }

  /**
   * Moves time forward by `ms` milliseconds, running every timer that falls due on the way, those included that the
   * callbacks themselves schedule.
   *
   * @throws RangeError when `ms` is negative or not a finite number.
   * @throws whatever a callback throws; time then stands where that callback was due.
   */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0 && ms < Infinity))
      throw new RangeError(`VirtualClock.advance: ms must be 0 or more and finite, got ${ms}`);
    const end = this.#now + ms;
    await turn();
    while (this.#isDue(end)) {
      this.#fire();
      await turn();
    }
    // Another advance, running at the same time, may have gone further.
    this.#now = Math.max(this.#now, end);
  }

  /**
   * Like `advance`, many times faster: after each timer the promises have their turn, but not the event loop. For systems that
   * wait for nothing but this clock, as in a simulation; what waits for a socket or `setImmediate` gets its turn once
   * in {@link RUN_TURN} timers.
   *
   * @param onTurn - called at each such turn; what it throws ends the run.
   * @throws as `advance`.
   */
  async run(ms: number, onTurn?: () => void): Promise<void> {
    if (!(ms >= 0 && ms < Infinity))
      throw new RangeError(`VirtualClock.run: ms must be 0 or more and finite, got ${ms}`);
    const end = this.#now + ms;
    await turn();
    while (await this.#runSome(end)) {
      await turn();
      onTurn?.();
    }
    await turn();
    this.#now = Math.max(this.#now, end);
  }

  /** Runs up to {@link RUN_TURN} timers; whether some are left that are due by `end`. */
  #runSome(end: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      let left = RUN_TURN;
      const step = (): void => {
        if (!this.#isDue(end)) return resolve(false);
        if (left-- === 0) return resolve(true);
        try {
          this.#fire();
        } catch (error) {
          return reject(error);
        }
        void settled.then(afterPromises);
      };
      // A tick asked for by a promise job runs when no promise job is left.
      const afterPromises = (): void => process.nextTick(step);
      step();
    });
  }

  /** Moves time to the next waiting timer and runs it; resolves to false when none is waiting. */
  async runNext(): Promise<boolean> {
    await turn();
    if (this.#waiting.size === 0 || this.#waiting.firstAt === Infinity) return false;
    this.#fire();
    await turn();
    return true;
  }

  #isDue(end: number): boolean {
    return this.#waiting.size > 0 && this.#waiting.firstAt <= end;
  }

  /** Moves time to the first timer, and runs it. */
  #fire(): void {
    this.#now = Math.max(this.#now, this.#waiting.firstAt);
    this.#waiting.takeFirst().callback();
  }
}

/** A promise job costs a third of what `queueMicrotask` does. */
const settled = Promise.resolve();

/** One turn of the event loop: every promise job queued so far, and those they queue, have run when it resolves. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
