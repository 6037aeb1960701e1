import type { Priority } from "../../metadata/priority.ts";
import { priorities } from "../../metadata/priority.ts";

/** A place in a {@link WaitingLine}. */
export class Place {
  readonly rank: number;
  readonly sinceMs: number;
  /** Calls that had ended when it began to wait. */
  readonly since: number;
  /** Called once, when the wait is over: without an error to go on. */
  readonly leave: (error: unknown) => void;
  older: Place | undefined = undefined;
  newer: Place | undefined = undefined;
  waiting = true;

  constructor(priority: Priority, sinceMs: number, since: number, leave: (error: unknown) => void) {
    this.rank = priorities.indexOf(priority);
    this.sinceMs = sinceMs;
    this.since = since;
    this.leave = leave;
  }
}

/** Those of one priority, a doubly linked list. */
interface Line {
  oldest: Place | undefined;
  newest: Place | undefined;
  size: number;
}

/** Calls that wait, by priority, then by age. Every operation takes constant time. */
export class WaitingLine {
  readonly #lines: readonly Line[] = priorities.map(() => ({ oldest: undefined, newest: undefined, size: 0 }));
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** How many of one rank wait. */
  count(rank: number): number {
    return this.#lines[rank]!.size;
  }

  add(place: Place): void {
    const line = this.#lines[place.rank]!;
    place.older = line.newest;
    if (line.newest === undefined) line.oldest = place;
    else line.newest.newer = place;
    line.newest = place;
    line.size++;
    this.#size++;
  }

  /** Takes one out. Harmless when it is out already. */
  remove(place: Place): void {
    if (!place.waiting) return;
    place.waiting = false;
    const line = this.#lines[place.rank]!;
    if (place.older === undefined) line.oldest = place.newer;
    else place.older.newer = place.newer;
    if (place.newer === undefined) line.newest = place.older;
    else place.newer.older = place.older;
    line.size--;
    this.#size--;
  }

  /** The one of the most important that has waited longest, or shortest. */
  first(newest: boolean): Place | undefined {
    for (const line of this.#lines) {
      const place = newest ? line.newest : line.oldest;
      if (place !== undefined) return place;
    }
    return undefined;
  }

  /** The one that has waited longest among those of one rank. */
  oldest(rank: number): Place | undefined {
    return this.#lines[rank]!.oldest;
  }

  /** The one to give up for one of this rank: the oldest of the least important, if not more important itself. */
  leastImportant(rank: number): Place | undefined {
    for (let i = this.#lines.length - 1; i >= rank; i--) {
      const { oldest } = this.#lines[i]!;
      if (oldest !== undefined) return oldest;
    }
    return undefined;
  }
}
