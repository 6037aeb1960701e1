/** What can stand in an {@link InFlight}; the number is its own, -1 while it stands in none. */
export interface Listed {
  place: number;
}

/**
 * What is under way, in no order. Adding and removing take constant time and leave nothing behind, where a Set makes new tables
 * as it goes, each of which keeps the later ones alive once it has grown old.
 */
export class InFlight<T extends Listed> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: T): void {
    item.place = this.#items.push(item) - 1;
  }

  /** Nothing happens when it is not in it. */
  delete(item: T): void {
    const { place } = item;
    if (place < 0) return;
    const last = this.#items.pop()!;
    if (last !== item) {
      this.#items[place] = last;
      last.place = place;
    }
    item.place = -1;
  }

  /** All there are now: a copy, so that each may go meanwhile. */
  all(): T[] {
    return this.#items.slice();
  }
}
