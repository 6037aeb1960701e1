/** State by key, of so many keys at most: of those beyond, the one used longest ago is forgotten. */
export class Keyed<State> {
  readonly #max: number;
  readonly #make: () => State;
  readonly #states = new Map<string, State>();
  #lastKey: string | undefined;
  #lastState: State | undefined;

  constructor(max: number, make: () => State) {
    this.#max = max;
    this.#make = make;
  }

  get size(): number {
    return this.#states.size;
  }

  get(key: string): State {
    // Many ask for one key only, or for the same in a row.
    if (key === this.#lastKey) return this.#lastState as State;
    let state = this.#states.get(key);
    if (state === undefined) {
      state = this.#make();
      if (this.#states.size >= this.#max) this.#states.delete(this.#states.keys().next().value as string);
    } else {
      // A map keeps the order of insertion: to the end with it.
      this.#states.delete(key);
    }
    this.#states.set(key, state);
    this.#lastKey = key;
    this.#lastState = state;
    return state;
  }
}
