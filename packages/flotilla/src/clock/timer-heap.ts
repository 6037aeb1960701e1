/** What stands in a {@link TimerHeap}; the number is the heap's own, -1 while it stands in none. */
export interface Waiting {
  node: number;
}

const FIRST_CAPACITY = 64;

/**
 * What waits for a time, the earliest first, and of the same time what came first. Adding, taking the first and taking out any
 * take logarithmic time; nothing is kept of what has gone but the room for it.
 *
 *     keys:  [ at, order | at, order | ... ]   a heap of four children, which lie side by side
 *     nodes: [ 7, 2, ... ]                     whose key that is; items[7], and places[7] = 0
 *
 * Numbers in typed arrays: with tens of thousands of timers, every object looked at on the way would be a miss of the cache.
 */
export class TimerHeap<T extends Waiting> {
  #keys = new Float64Array(2 * FIRST_CAPACITY);
  #nodes = new Int32Array(FIRST_CAPACITY);
  /** By node: where its key stands. Of those that are free: the next free one, or -1. */
  #places = new Int32Array(FIRST_CAPACITY);
  readonly #items: (T | undefined)[] = [];
  #free = -1;
  #size = 0;
  #order = 0;

  get size(): number {
    return this.#size;
  }

  /** When the first is due; meaningful while there is one. */
  get firstAt(): number {
    return this.#keys[0]!;
  }

  add(at: number, item: T): void {
    const place = this.#size++;
    let node = this.#free;
    if (node >= 0) {
      this.#free = this.#places[node]!;
      this.#items[node] = item;
    } else {
      node = this.#items.push(item) - 1;
      if (node === this.#nodes.length) this.#grow();
    }
    item.node = node;
    this.#rise(place, at, this.#order++, node);
  }

  /** Takes out the first; there must be one. */
  takeFirst(): T {
    const item = this.#items[this.#nodes[0]!]!;
    this.remove(item);
    return item;
  }

  /** Takes out any that stands in it. */
  remove(item: T): void {
    const { node } = item;
    const place = this.#places[node]!;
    item.node = -1;
    this.#items[node] = undefined;
    this.#places[node] = this.#free;
    this.#free = node;
    const last = --this.#size;
    if (place === last) return;
    // The last one takes its place, and goes where it belongs from there.
    const at = this.#keys[2 * last]!;
    const order = this.#keys[2 * last + 1]!;
    const moved = this.#nodes[last]!;
    if (place > 0 && this.#isBefore(at, order, (place - 1) >> 2)) this.#rise(place, at, order, moved);
    else this.#sink(place, at, order, moved);
  }

  #rise(from: number, at: number, order: number, node: number): void {
    let place = from;
    while (place > 0) {
      const parent = (place - 1) >> 2;
      if (!this.#isBefore(at, order, parent)) break;
      this.#move(parent, place);
      place = parent;
    }
    this.#set(place, at, order, node);
  }

  #sink(from: number, at: number, order: number, node: number): void {
    const keys = this.#keys;
    const size = this.#size;
    let place = from;
    for (;;) {
      let child = 4 * place + 1;
      if (child >= size) break;
      const end = Math.min(child + 4, size);
      for (let other = child + 1; other < end; other++) {
        if (this.#isBefore(keys[2 * other]!, keys[2 * other + 1]!, child)) child = other;
      }
      if (this.#isBefore(at, order, child)) break;
      this.#move(child, place);
      place = child;
    }
    this.#set(place, at, order, node);
  }

  #isBefore(at: number, order: number, place: number): boolean {
    const other = this.#keys[2 * place]!;
    return at < other || (at === other && order < this.#keys[2 * place + 1]!);
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#keys[2 * from]!, this.#keys[2 * from + 1]!, this.#nodes[from]!);
  }

  #set(place: number, at: number, order: number, node: number): void {
    this.#keys[2 * place] = at;
    this.#keys[2 * place + 1] = order;
    this.#nodes[place] = node;
    this.#places[node] = place;
  }

  #grow(): void {
    const capacity = 2 * this.#nodes.length;
    this.#keys = enlarged(this.#keys, new Float64Array(2 * capacity));
    this.#nodes = enlarged(this.#nodes, new Int32Array(capacity));
    this.#places = enlarged(this.#places, new Int32Array(capacity));
  }
}

function enlarged<A extends Float64Array | Int32Array>(from: A, to: A): A {
  to.set(from);
  return to;
}
