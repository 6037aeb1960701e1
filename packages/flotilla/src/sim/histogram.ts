/** Buckets a doubling of the value. Within one, values differ by at most 1.1 %. */
const PER_DOUBLING = 64;
/** The smallest value told apart, a thousandth of a millisecond. */
const SMALLEST = 0.001;

/**
 * Percentiles of any number of values in bounded memory: each is right to 1.1 %.
 *
 * Algorithm: buckets of exponential width, as in DDSketch (Masson et al., VLDB 2019).
 */
export class Histogram {
  readonly #counts: number[] = [];
  #count = 0;
  #sum = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  get max(): number {
    return this.#max;
  }

  record(value: number): void {
    const index = value <= SMALLEST ? 0 : Math.ceil(Math.log2(value / SMALLEST) * PER_DOUBLING);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#count++;
    this.#sum += value;
    if (value > this.#max) this.#max = value;
  }

  /** @param q - 0 to 1. 0 when nothing was recorded. */
  quantile(q: number): number {
    let left = Math.ceil(q * this.#count);
    if (left === 0) left = 1;
    for (let index = 0; index < this.#counts.length; index++) {
      left -= this.#counts[index] ?? 0;
      if (left <= 0) return Math.min(this.#max, SMALLEST * 2 ** ((index - 0.5) / PER_DOUBLING));
    }
    return 0;
  }

  /** Adds what another has recorded. */
  add(other: Histogram): void {
    for (let index = 0; index < other.#counts.length; index++) {
      const count = other.#counts[index];
      if (count !== undefined) this.#counts[index] = (this.#counts[index] ?? 0) + count;
    }
    this.#count += other.#count;
    this.#sum += other.#sum;
    this.#max = Math.max(this.#max, other.#max);
  }
}
