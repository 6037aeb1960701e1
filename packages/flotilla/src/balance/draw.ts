import { type Random, randomInt } from "../clock/random.ts";

/** So many draws may hit one that was tried before the list is looked through. */
const MAX_DRAWS = 8;

/** Any of those neither tried nor `except`, each with the same chance; undefined when there is none. */
export function drawUntried<C>(
  random: Random,
  candidates: readonly C[],
  tried: ReadonlySet<C> | undefined,
  except: C | undefined,
): C | undefined {
  const n = candidates.length;
  if (n === 0) return undefined;
  for (let draws = 0; draws < MAX_DRAWS; draws++) {
    const candidate = candidates[randomInt(random, n)]!;
    if (candidate !== except && tried?.has(candidate) !== true) return candidate;
  }
  // Few are left, so the list is short or the luck bad: one pass, keeping the k-th with a chance of 1/k.
  let left = 0;
  let chosen: C | undefined;
  for (const candidate of candidates) {
    if (candidate === except || tried?.has(candidate) === true) continue;
    if (randomInt(random, ++left) === 0) chosen = candidate;
  }
  return chosen;
}
