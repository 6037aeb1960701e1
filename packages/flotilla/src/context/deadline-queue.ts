import type { Clock, Timer } from "../clock/clock.ts";

/** What waits in a {@link DeadlineQueue}; the links are the queue's own. */
export interface Expiring {
  /** When it expires, on the queue's clock. */
  readonly deadlineMs: number;
  /** Called once, no earlier than `deadlineMs`. */
  expire(): void;
  slot: Slot | undefined;
  before: Expiring | undefined;
  after: Expiring | undefined;
}

/** All deadlines that fall into the same few milliseconds: a doubly linked list. */
interface Slot {
  id: number;
  head: Expiring | undefined;
}

/** Deadlines within one slot share a timer; a signal fires at most this much late. */
const SLOT_MS = 4;
/** Emptied slots are kept up to this many, and as many as there are deadlines twice over. */
const SPARE_SLOTS = 64;

/**
 * Deadlines of many contexts on one clock timer.
 *
 *     heap of slot ids:  [ 25, 27, 40 ]      one Timer, armed for slot 25
 *     slots:   25 → ctx ⇄ ctx ⇄ ctx     27 → ctx     40 → (emptied)
 *     latest:  42 → ctx ⇄ ctx
 *
 * Adding and removing are O(1) but for what makes another slot the latest: then the one before is put on the heap, unless it
 * is empty and used again. So calls that come one at a time need one slot, ever. An emptied slot on the heap is kept for the next
 * deadline that falls into it, until it is reached or swept. The timer never keeps the process alive. When the last
 * deadline is removed the armed timer is left to lapse once: cancelling and re-arming it for every call would cost
 * more than the rest of the context.
 */
export class DeadlineQueue {
  readonly #clock: Clock;
  readonly #slots = new Map<number, Slot>();
  readonly #heap: number[] = [];
  #latest: Slot | undefined;
  #size = 0;
  #timer: Timer | undefined;
  #timerSlot = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many deadlines wait. */
  get size(): number {
    return this.#size;
  }

  /** How many slots are kept, emptied ones included. */
  get slots(): number {
    return this.#slots.size + (this.#latest === undefined ? 0 : 1);
  }

  add(item: Expiring): void {
    const id = Math.ceil(item.deadlineMs / SLOT_MS);
    // Deadlines of one method follow each other within the same slot.
    const slot = this.#latest?.id === id ? this.#latest : (this.#earlier(id) ?? this.#next(id));
    item.slot = slot;
    item.before = undefined;
    item.after = slot.head;
    if (slot.head !== undefined) slot.head.before = item;
    slot.head = item;
    this.#size++;
    if (id < this.#timerSlot) this.#arm(id);
  }

  remove(item: Expiring): void {
    const slot = item.slot;
    if (slot === undefined) return;
    if (item.before === undefined) slot.head = item.after;
    else item.before.after = item.after;
    if (item.after !== undefined) item.after.before = item.before;
    item.slot = item.before = item.after = undefined;
    this.#size--;
  }

  #earlier(id: number): Slot | undefined {
    return this.#slots.size === 0 ? undefined : this.#slots.get(id);
  }

  /** Another slot becomes the latest. */
  #next(id: number): Slot {
    const latest = this.#latest;
    if (latest !== undefined && latest.head === undefined) {
      latest.id = id;
      return latest;
    }
    this.#putAside();
    return (this.#latest = { id, head: undefined });
  }

  /** Puts the latest slot to the others. */
  #putAside(): void {
    const latest = this.#latest;
    this.#latest = undefined;
    if (latest?.head === undefined) return;
    if (this.#slots.size >= SPARE_SLOTS + 2 * this.#size) this.#sweep();
    this.#slots.set(latest.id, latest);
    this.#push(latest.id);
  }

  /** Forgets the emptied slots: at least half of all, each paid for when it was made. */
  #sweep(): void {
    this.#heap.length = 0;
    for (const slot of this.#slots.values()) {
      if (slot.head === undefined) this.#slots.delete(slot.id);
      else this.#push(slot.id);
    }
  }

  #arm(id: number): void {
    this.#timer?.cancel();
    this.#timerSlot = id;
    this.#timer = this.#clock.schedule(id * SLOT_MS - this.#clock.now(), () => this.#fire());
    this.#timer.unref();
  }

  #fire(): void {
    this.#timer = undefined;
    this.#timerSlot = Infinity;
    const now = this.#clock.now();
    this.#putAside();
    while (this.#heap.length > 0) {
      const slot = this.#slots.get(this.#heap[0]!)!;
      // No timer is worth setting for a slot that is empty.
      if (slot.head !== undefined && slot.id * SLOT_MS > now) break;
      this.#pop();
      this.#slots.delete(slot.id);
      while (slot.head !== undefined) {
        const item = slot.head;
        this.remove(item);
        item.expire();
      }
    }
    // What expired may have armed the timer again through add().
    const next = this.#heap[0];
    if (next !== undefined && next < this.#timerSlot) this.#arm(next);
  }

  #push(id: number): void {
    const heap = this.#heap;
    let i = heap.push(id) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (heap[parent]! <= id) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = id;
  }

  #pop(): number {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) {
      let i = 0;
      for (;;) {
        let child = 2 * i + 1;
        if (child >= heap.length) break;
        if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
        if (heap[child]! >= last) break;
        heap[i] = heap[child]!;
        i = child;
      }
      heap[i] = last;
    }
    return top;
  }
}
