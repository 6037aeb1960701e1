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
  const points: { readonly hash: number; readonly index: number }[] = [];
  candidates.forEach((candidate, index) => {
    const count = Math.max(1, Math.round((most * weightOf(candidate)) / heaviest));
    for (let i = 0; i < count; i++) points.push({ hash: hash32(candidate.instance.id, i), index });
  });
  points.sort((a, b) => a.hash - b.hash || a.index - b.index);
  const n = points.length;
  const hashes = Uint32Array.from(points, ({ hash }) => hash);
  const indices = Uint32Array.from(points, ({ index }) => index);
  return {
    places: n,
    at: (place) => indices[place]!,
    next: (place) => (place + 1 === n ? 0 : place + 1),
    place(hash) {
      let low = 0;
      let high = n;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (hashes[middle]! < hash) low = middle + 1;
        else high = middle;
      }
      return low === n ? 0 : low;
    },
  };
}

/**
 * Calls with one key go to one instance, the same from every client; when instances come or go, only their share of the keys
 * moves. One that has too many calls is passed over (`maxLoad`). Weights are heeded. A pick takes the logarithm of the points; an
 * update sorts them.
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
