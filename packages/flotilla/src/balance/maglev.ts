import { hash32 } from "../codec/hash.ts";
import type { BalancerFactory, Candidate } from "./balancer.ts";
import { ByKey, type ByKeyOptions, type Circle, checkMaxLoad } from "./consistent.ts";
import { weightOf } from "./weight.ts";

/** Options of {@link maglev}. */
export interface MaglevOptions extends ByKeyOptions {
  /** Entries of the table: a prime, a hundred times as many as instances or more. Default 65537. */
  readonly tableSize?: number;
}

function table(candidates: readonly Candidate[], size: number): Circle {
  const n = candidates.length;
  const entries = new Uint32Array(size);
  const taken = new Uint8Array(size);
  const offset = new Float64Array(n);
  const skip = new Float64Array(n);
  const next = new Float64Array(n);
  let heaviest = 0;
  candidates.forEach((candidate, i) => {
    offset[i] = hash32(candidate.instance.id, 0x9747b28c) % size;
    skip[i] = (hash32(candidate.instance.id, 0x5bd1e995) % (size - 1)) + 1;
    heaviest = Math.max(heaviest, weightOf(candidate));
  });
  const turns = Float64Array.from(candidates, (candidate) => weightOf(candidate) / heaviest);
  const credit = new Float64Array(n);
  let filled = 0;
  // In turns each takes the next free entry of its own order; the lighter ones do not get every turn.
  while (filled < size) {
    for (let i = 0; i < n && filled < size; i++) {
      credit[i]! += turns[i]!;
      if (credit[i]! < 1 - 1e-9) continue;
      credit[i]! -= 1;
      let entry: number;
      do {
        entry = (offset[i]! + next[i]! * skip[i]!) % size;
        next[i]!++;
      } while (taken[entry] === 1);
      taken[entry] = 1;
      entries[entry] = i;
      filled++;
    }
  }
  return {
    places: size,
    at: (place) => entries[place]!,
    next: (place) => (place + 1 === size ? 0 : place + 1),
    place: (hash) => hash % size,
  };
}

/**
 * Calls with one key go to one instance, the same from every client; nearly evenly, and with a pick in constant time. When
 * instances come or go a few more keys move than with a ring. One that has too many calls is passed over (`maxLoad`). Weights are
 * heeded. An update fills the table anew, some milliseconds.
 *
 * Algorithm: Maglev hashing (Eisenbud et al., NSDI 2016) with bounded loads.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function maglev({ key, maxLoad = 1.25, tableSize = 65_537 }: MaglevOptions): BalancerFactory {
  checkMaxLoad("maglev", maxLoad);
  if (!isPrime(tableSize)) throw new RangeError(`maglev: tableSize must be a prime, got ${tableSize}`);
  return ({ random }) => new ByKey({ key, maxLoad }, (candidates) => table(candidates, tableSize), random);
}

function isPrime(value: number): boolean {
  if (!(Number.isInteger(value) && value > 2 && value < 2 ** 31)) return false;
  for (let i = 2; i * i <= value; i++) if (value % i === 0) return false;
  return true;
}
