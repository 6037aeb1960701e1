import { hash32 } from "../codec/hash.ts";
import type { Instance } from "../endpoint/instance.ts";
import type { Instancer } from "./discovery.ts";

/** Options of {@link subset}. */
export interface SubsetOptions {
  /** Instances this client is to know at most, a whole number above 0; all of them while there are no more. Default 20. */
  readonly size?: number;
  /**
   * Which of the clients this is: 0, 1, 2, ... without gaps, as the ordinal of a replica set. Then all instances have the same
   * number of clients, to one, and each client at least two thirds of `size` (half, of fewer than twice `size`). Or any name that no other client has: then it has just
   * `size`, and the number of clients differs by chance.
   */
  readonly client: number | string;
}

const DEFAULT_SIZE = 20;

/**
 * Shows a client some of the instances instead of all: with many of both, connections from each to each would be too many. Which
 * ones hardly changes when an instance comes or goes.
 *
 * Algorithm: with a number, deterministic subsetting (Beyer et al., "Site Reliability Engineering", chapter 20), the instances of
 * a round ordered by hash instead of shuffled, so that a change moves its neighbours only; and the number of subsets goes in steps, so
 * that it hardly ever changes, for then everything moves. With a name, rendezvous hashing (Thaler
 * and Ravishankar, IEEE/ACM ToN 6(1), 1998), as in gRPC's proposal A68.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function subset(from: Instancer, { size = DEFAULT_SIZE, client }: SubsetOptions): Instancer {
  if (!(Number.isInteger(size) && size >= 1))
    throw new RangeError(`subset: size must be a whole number above 0, got ${size}`);
  if (typeof client === "number" && !(Number.isInteger(client) && client >= 0)) {
    throw new RangeError(`subset: client must be a whole number from 0, or a name, got ${client}`);
  }
  return {
    watch: (service, observer) =>
      from.watch(service, {
        update: (instances) => observer.update(chosen(instances, size, client)),
        error: (error) => observer.error(error),
      }),
  };
}

function chosen(instances: readonly Instance[], size: number, client: number | string): readonly Instance[] {
  const n = instances.length;
  if (n <= size) return instances;
  const subsets = step(n / size);
  const seed = typeof client === "number" ? Math.floor(client / subsets) : hash32(client);
  // Hash and index in one number, which is sorted ten times as fast as pairs are. Exact: of more than 2^21 instances fewer bits count.
  const bits = Math.min(1, 2 ** 21 / n);
  const order = new Float64Array(n);
  for (let i = 0; i < n; i++) order[i] = Math.floor(hash32(instances[i]!.id, seed) * bits) * n + i;
  order.sort();
  // Rounds of clients: within one each instance is given away once, to as many clients as it takes to give away all.
  const from = typeof client === "number" ? Math.floor(((client % subsets) * n) / subsets) : 0;
  const to = typeof client === "number" ? Math.floor((((client % subsets) + 1) * n) / subsets) : size;
  const picked = order.subarray(from, to).map((key) => key % n);
  return Array.from(picked.sort(), (index) => instances[index]!);
}

/** 1, 2, 3, 4, 6, 8, 12, 16, 24, ...: the first that is not below. */
function step(least: number): number {
  const power = 2 ** Math.floor(Math.log2(least));
  if (least <= power) return power;
  return power > 1 && least <= 1.5 * power ? 1.5 * power : 2 * power;
}
