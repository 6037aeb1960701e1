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
  let a = 0x9e3779b9;
  let b = 0x243f6a88;
  let c = seed | 0;
  let counter = 1;
  const next = (): number => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + t) | 0;
    return (t >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next();
  return { next };
}

/** A whole number from 0 (included) to `bound` (excluded), evenly. `bound` is 1 or more. */
export function randomInt(random: Random, bound: number): number {
  return Math.floor(random.next() * bound);
}
