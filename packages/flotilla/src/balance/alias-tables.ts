/** Column i holds place i up to `limit[i]` and place `alias[i]` above, so that one uniform draw picks in proportion to the weights. */
export interface AliasTables {
  readonly limit: Float64Array;
  readonly alias: Uint32Array;
}

/**
 * Tables to draw from in constant time, made in time in proportion to their number.
 *
 * Algorithm: the alias method (Vose, "A linear algorithm for generating random numbers with a given distribution", 1991).
 *
 * @param weights - above 0 and finite.
 */
export function aliasTables(weights: readonly number[]): AliasTables {
  const n = weights.length;
  // Relative to the heaviest first: the sum of huge weights must not overflow.
  let heaviest = 0;
  for (const weight of weights) heaviest = Math.max(heaviest, weight);
  let total = 0;
  const limit = Float64Array.from(weights, (weight) => {
    const share = weight / heaviest;
    total += share;
    return share;
  });
  const alias = Uint32Array.from(weights, (_, i) => i);
  const small: number[] = [];
  const large: number[] = [];
  for (let i = 0; i < n; i++) {
    limit[i] = (limit[i]! * n) / total;
    (limit[i]! < 1 ? small : large).push(i);
  }
  // Each column too low is filled up by one too high, which then counts as what is left of it.
  while (small.length > 0 && large.length > 0) {
    const low = small.pop()!;
    const high = large.at(-1)!;
    alias[low] = high;
    limit[high] = limit[high]! - (1 - limit[low]!);
    if (limit[high] < 1) small.push(large.pop()!);
  }
  // What remains is full but for rounding.
  for (const i of small) limit[i] = 1;
  for (const i of large) limit[i] = 1;
  return { limit, alias };
}
