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
  /** Of the values that there have been, from the smallest on. */
  #counts: number[] = [];
  /** The bucket of the first count. */
  #first = 0;
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
    this.#tally(index, 1);
    this.#count++;
    this.#sum += value;
    if (value > this.#max) this.#max = value;
  }

  /**
   * The value below which so large a share of all values lies; 0 when nothing was recorded.
   *
   * @param q - 0 to 1.
   * @throws RangeError when it is not.
   */
  quantile(q: number): number {
    if (!(q >= 0 && q <= 1)) throw new RangeError(`quantile: q must be from 0 to 1, got ${q}`);
    let left = Math.ceil(q * this.#count);
    if (left === 0) left = 1;
    for (let i = 0; i < this.#counts.length; i++) {
      left -= this.#counts[i]!;
      if (left <= 0) return Math.min(this.#max, SMALLEST * 2 ** ((this.#first + i - 0.5) / PER_DOUBLING));
    }
    return 0;
  }

  /** Adds what another has recorded. */
  add(other: Histogram): void {
    for (let i = 0; i < other.#counts.length; i++) {
      const count = other.#counts[i]!;
      if (count > 0) this.#tally(other.#first + i, count);
    }
    this.#count += other.#count;
    this.#sum += other.#sum;
    this.#max = Math.max(this.#max, other.#max);
  }

  #tally(index: number, n: number): void {
    const counts = this.#counts;
    if (counts.length === 0) this.#first = index;
    const at = index - this.#first;
    if (at < 0) {
      this.#counts = [n, ...Array<number>(-at - 1).fill(0), ...counts];
      this.#first = index;
      return;
    }
    while (counts.length <= at) counts.push(0);
    counts[at]! += n;
  }
}
