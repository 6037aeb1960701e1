/** Chance as a parameter: whatever samples, jitters or picks takes a `Random`, so that a seed makes a run repeatable. */
export interface Random {
  /** A number from 0 (included) to 1 (excluded). */
  next(): number;
}

/** The process's own source, `Math.random`. Not for secrets. */
export const systemRandom: Random = { next: () => Math.random() };

/**
 * A repeatable source: the same seed gives the same numbers on every machine. Not for secrets.
 *
 * Algorithm: sfc32 (Chris Doty-Humphrey, PractRand), 128 bits of state, warmed up by 12 rounds.
 *
 * @param seed - any integer; its low 32 bits count.
 */
export function seededRandom(seed: number): Random {
  return new Sfc32(seed | 0);
}

class Sfc32 implements Random {
  #a = 0x9e3779b9 | 0;
  #b = 0x243f6a88;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#c = seed;
    for (let i = 0; i < 12; i++) this.next();
  }

  next(): number {
    const b = this.#b;
    const c = this.#c;
    const t = (((this.#a + b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = b ^ (b >>> 9);
    this.#b = (c + (c << 3)) | 0;
    this.#c = (((c << 21) | (c >>> 11)) + t) | 0;
    return (t >>> 0) / 2 ** 32;
  }
}

/** A whole number from 0 (included) to `bound` (excluded), evenly. `bound` is 1 or more. */
export function randomInt(random: Random, bound: number): number {
  return Math.floor(random.next() * bound);
}
