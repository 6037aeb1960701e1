import type { Clock, Timer } from "./clock.ts";

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
  live: boolean;
}

/** Cancelled entries stay in the heap up to this many, and as many as there are live ones. */
const SPARE_ENTRIES = 64;

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
    const entry: Entry = { at: this.#now + (delayMs > 0 ? delayMs : 0), order: this.#order++, callback, live: true };
    this.#push(entry);
    this.#live++;
    return {
      cancel: () => {
        if (entry.live) {
          entry.live = false;
          this.#live--;
          if (this.#heap.length > SPARE_ENTRIES + 2 * this.#live) this.#sweep();
        }
      },
      unref() {},
    };
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
