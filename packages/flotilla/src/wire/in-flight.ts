/** What can stand in an {@link InFlight}; the links are the list's own. */
export interface Listed {
  older: Listed | undefined;
  newer: Listed | undefined;
  listed: boolean;
}

/**
 * What is under way. Adding and removing take constant time, and what has gone leaves nothing behind: a Set makes new tables as it
 * goes, each of which keeps the later ones alive once it has grown old.
 */
export class InFlight<T extends Listed> {
  #newest: T | undefined;

  get empty(): boolean {
    return this.#newest === undefined;
  }

  add(item: T): void {
    const newest = this.#newest;
    item.listed = true;
    item.older = newest;
    if (newest !== undefined) newest.newer = item;
    this.#newest = item;
  }

  /** Nothing happens when it is not in it. */
  delete(item: T): void {
    if (!item.listed) return;
    const { older, newer } = item;
    if (newer === undefined) this.#newest = older as T | undefined;
    else newer.older = older;
    if (older !== undefined) older.newer = newer;
    item.older = item.newer = undefined;
    item.listed = false;
  }

  /** All there are now, the oldest first: a copy, so that each may go meanwhile. */
  all(): T[] {
    const all: T[] = [];
    for (let item = this.#newest; item !== undefined; item = item.older as T | undefined) all.push(item);
    return all.toReversed();
  }
}
