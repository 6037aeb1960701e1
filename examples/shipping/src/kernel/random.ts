/** A source of chance: numbers in [0, 1). Passed in wherever the domain needs chance, so that a seed gives the same world again. */
export type Random = () => number;

/** Mulberry32: 32 bits of state, good enough to lay out a timetable, and the same on every machine. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A whole number from `low` to `high`, both included. */
export function integer(random: Random, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1));
}

/** One element of a list that is not empty. */
export function pick<T>(random: Random, list: readonly T[]): T {
  const element = list[integer(random, 0, list.length - 1)];
  if (element === undefined) throw new RangeError("pick: the list is empty");
  return element;
}
