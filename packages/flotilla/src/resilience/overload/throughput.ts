/** So many calls tell how many end in a time: to 9 %, when they end by chance. */
const REMEMBERED = 128;
const BLOCK = 8;

/** How many calls have ended lately. */
export class Throughput {
  /** When the last ones did, a ring. */
  readonly #ends = new Float64Array(REMEMBERED);
  #count = 0;

  ended(nowMs: number): void {
    this.#ends[this.#count++ % REMEMBERED] = nowMs;
  }

  /** Calls a millisecond. */
  perMs(nowMs: number): number {
    const n = Math.min(REMEMBERED, this.#count);
    return n === 0 ? 0 : n / Math.max(1, nowMs - this.#end(n));
  }

  /** How irregularly they end, told from the times between every eighth: 1 for mere chance, more where they come in heaps. */
  get dispersion(): number {
    const blocks = Math.floor((Math.min(REMEMBERED, this.#count) - 1) / BLOCK);
    if (blocks < 2) return 1;
    let sum = 0;
    let squares = 0;
    for (let i = 0; i < blocks; i++) {
      const ms = this.#end(1 + i * BLOCK) - this.#end(1 + (i + 1) * BLOCK);
      sum += ms;
      squares += ms * ms;
    }
    const mean = Math.max(1, sum / blocks);
    return BLOCK * (squares / blocks / mean ** 2 - 1);
  }

  /** @param back - 1: the last one. */
  #end(back: number): number {
    return this.#ends[(this.#count - back) % REMEMBERED]!;
  }
}
