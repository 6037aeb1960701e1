import type { Clock, Timer } from "./clock.ts";

/** A waiting timer. */
class Entry implements Timer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
  live = true;
  readonly #onCancel: () => void;

  constructor(at: number, order: number, callback: () => void, onCancel: () => void) {
    this.at = at;
    this.order = order;
    this.callback = callback;
    this.#onCancel = onCancel;
  }

  cancel(): void {
    if (!this.live) return;
    this.live = false;
    this.#onCancel();
  }

  unref(): void {}
}

/** Cancelled entries stay in the heap up to this many, and as many as there are live ones. */
const SPARE_ENTRIES = 64;

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
  #order = 0;
  readonly #epochMs: number;
  // A binary heap on (at, order).
  #heap: Entry[] = [];
  #live = 0;
  readonly #onCancel = (): void => {
    this.#live--;
    if (this.#heap.length > SPARE_ENTRIES + 2 * this.#live) this.#sweep();
  };

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
    return this.#live;
  }

  schedule(delayMs: number, callback: () => void): Timer {
    const entry = new Entry(this.#now + (delayMs > 0 ? delayMs : 0), this.#order++, callback, this.#onCancel);
    this.#push(entry);
    this.#live++;
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
    for (;;) {
      const next = this.#peek();
      if (next === undefined || next.at > end) break;
      this.#fire(next);
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
        const next = this.#peek();
        if (next === undefined || next.at > end) return resolve(false);
        if (left-- === 0) return resolve(true);
        try {
          this.#fire(next);
        } catch (error) {
          return reject(error);
        }
        queueMicrotask(afterPromises);
      };
      // A tick asked for by a promise job runs when no promise job is left.
      const afterPromises = (): void => process.nextTick(step);
      step();
    });
  }

  /** Moves time to the next waiting timer and runs it; resolves to false when none is waiting. */
  async runNext(): Promise<boolean> {
    await turn();
    const next = this.#peek();
    if (next === undefined || next.at === Infinity) return false;
    this.#fire(next);
    await turn();
    return true;
  }

  #fire(entry: Entry): void {
    this.#pop();
    entry.live = false;
    this.#live--;
    this.#now = Math.max(this.#now, entry.at);
    entry.callback();
  }

  /** Forgets the cancelled entries: at least half of all, so that each is paid for by its own cancel. */
  #sweep(): void {
    // A sorted array is a heap.
    this.#heap = this.#heap.filter((entry) => entry.live).sort((a, b) => (before(a, b) ? -1 : 1));
  }

  #peek(): Entry | undefined {
    while (this.#heap.length > 0 && !this.#heap[0]!.live) this.#pop();
    return this.#heap[0];
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let i = heap.push(entry) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(entry, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** One turn of the event loop: every promise job queued so far, and those they queue, have run when it resolves. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
