import type { Kind, Limit, LimitFactory } from "flotilla/resilience";

const MIN = 1;
const MAX = 1000;
const INITIAL = 20;
const MIN_CALLS = 50;
const QUANTILE = 0.9;
const WARMUP = 10;

const log10 = (limit: number): number => Math.max(1, Math.floor(Math.log10(limit)));

/** A mean in which what is older counts less; plain during warmup. */
class Ewma {
  readonly #share: number;
  #value = 0;
  #count = 0;
  #sum = 0;

  constructor(age: number) {
    this.#share = 2 / (age + 1);
  }

  add(value: number): number {
    if (this.#count < WARMUP) {
      this.#sum += value;
      this.#value = this.#sum / ++this.#count;
    } else this.#value += (value - this.#value) * this.#share;
    return this.#value;
  }
}

/** Correlation of the last pairs, and how much the second varies. */
class Correlation {
  readonly #pairs: (readonly [number, number])[] = [];

  add(x: number, y: number): { readonly correlation: number; readonly variation: number } {
    this.#pairs.push([x, y]);
    if (this.#pairs.length > 50) this.#pairs.shift();
    const n = this.#pairs.length;
    let [sx, sy, sxx, syy, sxy] = [0, 0, 0, 0, 0];
    for (const [a, b] of this.#pairs) {
      sx += a;
      sy += b;
      sxx += a * a;
      syy += b * b;
      sxy += a * b;
    }
    const varX = Math.max(0, sxx / n - (sx / n) ** 2);
    const varY = Math.max(0, syy / n - (sy / n) ** 2);
    const variation = Math.sqrt(varY) / (sy / n);
    if (n < WARMUP || Math.sqrt(varX) / (sx / n) < 0.01 || variation < 0.01) return { correlation: 0, variation };
    return { correlation: (sxy / n - (sx / n) * (sy / n)) / Math.sqrt(varX * varY), variation };
  }
}

class Failsafe implements Limit {
  readonly #baseline = new Ewma(10);
  readonly #smoothed = new Ewma(5);
  readonly #throughput = new Correlation();
  readonly #latency = new Correlation();
  readonly #last: number[] = [];
  #limit = INITIAL;
  #samples: number[] = [];
  #mostFound = 0;
  #pressed = false;
  #nextMs = 0;

  get current(): number {
    return Math.floor(this.#limit);
  }

  kind(): Kind {
    return { inFlight: 0 };
  }

  pressed(): void {
    this.#pressed = true;
  }

  ended(nowMs: number, durationMs: number, found: number, _alike: number, _kind: Kind, late: boolean): void {
    if (!late) {
      this.#samples.push(durationMs);
      this.#mostFound = Math.max(this.#mostFound, found);
    }
    if (nowMs <= this.#nextMs || this.#samples.length < MIN_CALLS) return;
    const sorted = this.#samples.sort((a, b) => a - b);
    const quantile = sorted[Math.floor(QUANTILE * (sorted.length - 1))]!;
    this.#nextMs = nowMs + Math.min(30_000, Math.max(1000, 2 * sorted[0]!));
    this.#last.push(quantile);
    if (this.#last.length > 5) this.#last.shift();
    const median = this.#last.toSorted((a, b) => a - b)[this.#last.length >> 1]!;
    this.#update(this.#smoothed.add(median), this.#mostFound);
    this.#samples = [];
    this.#mostFound = 0;
    this.#pressed = false;
  }

  #update(recentMs: number, mostFound: number): void {
    const limit = this.#limit;
    const step = log10(limit);
    const queue = Math.ceil(limit * (1 - this.#baseline.add(recentMs) / recentMs));
    const throughput = this.#throughput.add(mostFound, mostFound / recentMs);
    const latency = this.#latency.add(mostFound, recentMs);
    const futile =
      this.#pressed &&
      (throughput.correlation < 0 ||
        (throughput.correlation < 0.3 && latency.correlation > 0.5) ||
        (throughput.variation < 0.2 && latency.correlation > 0.5));
    let next = limit;
    if (queue > 6 * step || futile) next -= step;
    else if (queue < 3 * step) next += step;
    if (next > mostFound * 5) next = limit - step;
    this.#limit = Math.max(MIN, Math.min(MAX, next));
  }
}

/**
 * The 90th percentile of a second and 50 calls at least, smoothed, against its own mean of some ten seconds, as Vegas does; and
 * fewer when more in flight went with no more throughput, or with longer latencies. At most 5 times what is in flight. As the
 * adaptive limiter of failsafe-go with its defaults, but up to 1000 instead of 200.
 */
export const failsafe: LimitFactory = () => new Failsafe();
