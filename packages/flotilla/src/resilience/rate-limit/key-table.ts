/** So many slots are looked at to find one that can go. */
const SAMPLE = 8;
const FIRST_SLOTS = 16;

/**
 * What forgetting a key would give it back: units that it took and time has not restored. 0 when nothing would be lost.
 *
 * @param at - where the slot's numbers begin.
 */
export type Debt = (values: Float64Array, at: number, now: number) => number;

/**
 * A few numbers for each key, all 0 at first, for so many keys at most.
 *
 * When it is full, a new key takes the place of another: the first of the next eight slots whose owner has nothing to pay back,
 * else the one of the eight that has least. So no more than a burst is ever given to a forgotten key, a flood of new keys
 * drives out its own kind, and those that are over their limit are remembered longest. No timer runs: keys that rest stay until
 * their place is needed.
 */
export class KeyTable {
  /** The numbers of all slots. Another array after a new key was found room for: read it after {@link find}. */
  values: Float64Array<ArrayBuffer>;
  /** Keys that were driven out while they still had something to pay back. */
  forgotten = 0;
  readonly #width: number;
  readonly #maxKeys: number;
  readonly #debt: Debt;
  readonly #places = new Map<string, number>();
  readonly #keys: string[] = [];
  #hand = 0;

  constructor(width: number, maxKeys: number, debt: Debt) {
    this.#width = width;
    this.#maxKeys = maxKeys;
    this.#debt = debt;
    this.values = new Float64Array(Math.min(FIRST_SLOTS, maxKeys) * width);
  }

  get size(): number {
    return this.#keys.length;
  }

  /** Where the numbers of this key begin. */
  find(key: string, now: number): number {
    return this.#places.get(key) ?? this.#add(key, now);
  }

  #add(key: string, now: number): number {
    let slot = this.#keys.length;
    if (slot === this.#maxKeys) {
      slot = this.#leastInDebt(now);
      this.#places.delete(this.#keys[slot]!);
      this.values.fill(0, slot * this.#width, (slot + 1) * this.#width);
    } else if ((slot + 1) * this.#width > this.values.length) this.#grow();
    this.#keys[slot] = key;
    this.#places.set(key, slot * this.#width);
    return slot * this.#width;
  }

  #leastInDebt(now: number): number {
    let least = Infinity;
    let chosen = this.#hand;
    const looks = Math.min(SAMPLE, this.#maxKeys);
    for (let i = 0; i < looks && least > 0; i++) {
      const debt = this.#debt(this.values, this.#hand * this.#width, now);
      if (debt < least) {
        least = debt;
        chosen = this.#hand;
      }
      this.#hand = (this.#hand + 1) % this.#maxKeys;
    }
    if (least > 0) this.forgotten++;
    return chosen;
  }

  #grow(): void {
    const slots = Math.min(this.#maxKeys, 2 * (this.values.length / this.#width));
    const values = new Float64Array(slots * this.#width);
    values.set(this.values);
    this.values = values;
  }
}
