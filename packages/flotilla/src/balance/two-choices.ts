import { type Random, randomInt } from "../clock/random.ts";

/** So many draws may hit one that was tried before the list is looked through. */
const MAX_DRAWS = 8;

/**
 * The better of two different candidates drawn by chance, of those not tried while there are any. Which of the two is drawn first is
 * chance already, so `better` gives a tie to its first.
 *
 * Algorithm: power of two choices (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12(10),
 * 2001).
 */
export function betterOfTwo<C>(
  random: Random,
  candidates: readonly C[],
  tried: ReadonlySet<C> | undefined,
  better: (first: C, second: C) => C,
): C | undefined {
  if (tried !== undefined && tried.size > 0) {
    const first = drawUntried(random, candidates, tried, undefined);
    // None is left: pick as if none had been tried.
    if (first !== undefined) return better(first, drawUntried(random, candidates, tried, first) ?? first);
  }
  const n = candidates.length;
  if (n < 2) return candidates[0];
  const i = randomInt(random, n);
  const j = randomInt(random, n - 1);
  return better(candidates[i]!, candidates[j < i ? j : j + 1]!);
}

/** Any of those neither tried nor `except`, each with the same chance; undefined when there is none. */
function drawUntried<C>(
  random: Random,
  candidates: readonly C[],
  tried: ReadonlySet<C>,
  except: C | undefined,
): C | undefined {
  if (candidates.length === 0) return undefined;
  for (let draws = 0; draws < MAX_DRAWS; draws++) {
    const candidate = candidates[randomInt(random, candidates.length)]!;
    if (candidate !== except && !tried.has(candidate)) return candidate;
  }
  // Few are left, so the list is short or the luck bad: one pass, keeping the k-th with a chance of 1/k.
  let left = 0;
  let chosen: C | undefined;
  for (const candidate of candidates) {
    if (candidate === except || tried.has(candidate)) continue;
    if (randomInt(random, ++left) === 0) chosen = candidate;
  }
  return chosen;
}
