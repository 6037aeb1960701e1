import type { Random } from "./random.ts";

/** Where numbers come from that differ each time: service times, latencies, gaps; milliseconds in most places. */
export interface Distribution {
  /** What samples come to in the long run. */
  readonly mean: number;
  sample(random: Random): number;
}

/** Always the same. @throws RangeError when `value` is negative or not finite. */
export function constant(value: number): Distribution {
  legal("constant", "value", value);
  return new Constant(value);
}

class Constant implements Distribution {
  readonly mean: number;

  constructor(value: number) {
    this.mean = value;
  }

  sample(): number {
    return this.mean;
  }
}

/** Evenly from `min` to `max`. @throws RangeError when the bounds are negative, not finite, or the wrong way round. */
export function uniform(min: number, max: number): Distribution {
  legal("uniform", "min", min);
  legal("uniform", "max", max);
  if (max < min) throw new RangeError(`uniform: max must not be below min, got ${min} to ${max}`);
  return { mean: (min + max) / 2, sample: (random) => min + (max - min) * random.next() };
}

/** Without memory: the gaps of a Poisson process, and a service time of great variance. @throws RangeError when `mean` is negative or not finite. */
export function exponential(mean: number): Distribution {
  legal("exponential", "mean", mean);
  return { mean, sample: (random) => -mean * Math.log(1 - random.next()) };
}

/**
 * What latencies and service times mostly look like: many near the median, a long tail.
 *
 * @param options - `p99` is above `median`, `median` above 0.
 * @throws RangeError when they are not.
 */
export function lognormal({ median, p99 }: { readonly median: number; readonly p99: number }): Distribution {
  legal("lognormal", "median", median);
  legal("lognormal", "p99", p99);
  if (!(median > 0 && p99 > median)) {
    throw new RangeError(`lognormal: p99 must be above median, and median above 0, got ${median} and ${p99}`);
  }
  const mu = Math.log(median);
  // The 99th percentile of the standard normal distribution.
  const sigma = Math.log(p99 / median) / 2.326347874;
  return {
    mean: Math.exp(mu + (sigma * sigma) / 2),
    sample: (random) => Math.exp(mu + sigma * normal(random)),
  };
}

/**
 * One of several, by weight: `mixture([[0.95, exponential(5)], [0.05, constant(200)]])`.
 *
 * @throws RangeError when a weight is not above 0 or there is none.
 */
export function mixture(parts: readonly (readonly [weight: number, of: Distribution])[]): Distribution {
  let total = 0;
  for (const [weight] of parts) {
    if (!(weight > 0 && weight < Infinity)) throw new RangeError(`mixture: weights must be above 0, got ${weight}`);
    total += weight;
  }
  if (parts.length === 0) throw new RangeError("mixture: there must be one part at least");
  return {
    mean: parts.reduce((sum, [weight, of]) => sum + (weight / total) * of.mean, 0),
    sample(random) {
      let drawn = random.next() * total;
      for (const [weight, of] of parts) {
        drawn -= weight;
        if (drawn < 0) return of.sample(random);
      }
      return parts.at(-1)![1].sample(random);
    },
  };
}

/** A number as the constant it is. */
export function distributionOf(given: number | Distribution): Distribution {
  return typeof given === "number" ? constant(given) : given;
}

/** Box-Muller, one of the pair: two draws a sample, so that samples do not depend on who drew before. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

function legal(of: string, name: string, value: number): void {
  if (!(value >= 0 && value < Infinity))
    throw new RangeError(`${of}: ${name} must be 0 or more and finite, got ${value}`);
}
