import { hash32 } from "../codec/hash.ts";
import type { BalancerFactory, Candidate } from "./balancer.ts";
import { ByKey, type ByKeyOptions, type Circle, checkMaxLoad } from "./consistent.ts";
import { weightOf } from "./weight.ts";

/** Options of {@link ringHash}. */
export interface RingHashOptions extends ByKeyOptions {
  /** Points on the ring of the heaviest instance; more spread more evenly. 1 to 10000. Default 200. */
  readonly points?: number;
}

const MAX_POINTS = 10_000;

function ring(candidates: readonly Candidate[], most: number): Circle {
  let heaviest = 0;
  for (const candidate of candidates) heaviest = Math.max(heaviest, weightOf(candidate));
  const counts = candidates.map((candidate) => Math.max(1, Math.round((most * weightOf(candidate)) / heaviest)));
  const n = counts.reduce((sum, count) => sum + count, 0);
  // One number each, hash before index, so that they are sorted as numbers.
  const sorted = new Float64Array(n);
  let filled = 0;
  candidates.forEach(({ instance }, index) => {
    for (let i = 0; i < counts[index]!; i++) sorted[filled++] = hash32(instance.id, i) * candidates.length + index;
  });
  sorted.sort();
  // Hashes are spread evenly: of ranges a quarter as many as points each holds some four, side by side in memory, and where each
  // range begins is known. What a range leaves open of a hash, and the index, are one word.
  const indexBits = 32 - Math.clz32(candidates.length - 1);
  const shift = Math.min(31, Math.clz32(n) + 2, 32 - indexBits);
  const low = 2 ** shift - 1;
  const index = 2 ** indexBits - 1;
  const points = new Uint32Array(n);
  const starts = new Uint32Array(2 ** (32 - shift) + 1).fill(n);
  for (let place = n - 1; place >= 0; place--) {
    const hash = Math.floor(sorted[place]! / candidates.length);
    points[place] = (hash & low) * 2 ** indexBits + (sorted[place]! % candidates.length);
    starts[hash >>> shift] = place;
  }
  for (let i = starts.length - 2; i >= 0; i--) starts[i] = Math.min(starts[i]!, starts[i + 1]!);
  return {
    places: n,
    at: (place) => points[place]! & index,
    next: (place) => (place + 1 === n ? 0 : place + 1),
    place(hash) {
      const range = hash >>> shift;
      const end = starts[range + 1]!;
      const least = (hash & low) * 2 ** indexBits;
      let place = starts[range]!;
      while (place < end && points[place]! < least) place++;
      return place === n ? 0 : place;
    },
  };
}

/**
 * Calls with one key go to one instance, the same from every client; when instances come or go, only their share of the keys
 * moves. One that has too many calls is passed over (`maxLoad`). Weights are heeded. A pick takes constant time; an update
 * sorts the points.
 *
 * Algorithm: consistent hashing (Karger et al., STOC 1997) with bounded loads.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function ringHash({ key, maxLoad = 1.25, points = 200 }: RingHashOptions): BalancerFactory {
  checkMaxLoad("ringHash", maxLoad);
  if (!(points >= 1 && points <= MAX_POINTS)) {
    throw new RangeError(`ringHash: points must be from 1 to ${MAX_POINTS}, got ${points}`);
  }
  return ({ random }) => new ByKey({ key, maxLoad }, (candidates) => ring(candidates, points), random);
}
