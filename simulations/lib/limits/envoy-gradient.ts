import type { Kind, Limit, LimitFactory } from "flotilla/resilience";

const MIN_CONCURRENCY = 3;
const MAX_CONCURRENCY = 1000;
const UPDATE_MS = 100;
const MIN_RTT_EVERY_MS = 60_000;
const MIN_RTT_CALLS = 50;
const BUFFER = 0.25;
const JITTER = 0.15;

class EnvoyGradient implements Limit {
  readonly #random: () => number;
  #limit = MIN_CONCURRENCY;
  /** The limit to go back to, while the least latency is measured. */
  #deferred: number | undefined = MIN_CONCURRENCY;
  #sinceMs = 0;
  #minRttMs = 0;
  #nextMinRttMs = Infinity;
  #nextUpdateMs = 0;
  #atLeast = 0;
  #samples: number[] = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  get current(): number {
    return this.#limit;
  }

  kind(): Kind {
    return { inFlight: 0 };
  }

  pressed(): void {}

  ended(nowMs: number, durationMs: number): void {
    if (this.#deferred === undefined && (nowMs >= this.#nextMinRttMs || this.#atLeast >= 5)) {
      this.#deferred = this.#limit;
      this.#limit = MIN_CONCURRENCY;
      this.#samples = [];
      this.#sinceMs = nowMs;
      this.#atLeast = 0;
    }
    if (nowMs - durationMs < this.#sinceMs) return;
    this.#samples.push(durationMs);
    if (this.#deferred !== undefined) {
      if (this.#samples.length < MIN_RTT_CALLS) return;
      this.#minRttMs = this.#median();
      this.#limit = this.#deferred;
      this.#deferred = undefined;
      this.#nextMinRttMs = nowMs + MIN_RTT_EVERY_MS * (1 + JITTER * this.#random());
      this.#nextUpdateMs = nowMs + UPDATE_MS;
    } else if (nowMs >= this.#nextUpdateMs) {
      this.#nextUpdateMs = nowMs + UPDATE_MS;
      const raw = (this.#minRttMs * (1 + BUFFER)) / this.#median();
      const wanted = this.#limit * Math.max(0.5, Math.min(2, raw));
      const before = this.#limit;
      this.#limit = Math.max(MIN_CONCURRENCY, Math.min(MAX_CONCURRENCY, Math.floor(wanted + Math.sqrt(wanted))));
      this.#atLeast = before === MIN_CONCURRENCY && this.#limit === MIN_CONCURRENCY ? this.#atLeast + 1 : 0;
    }
  }

  #median(): number {
    const sorted = this.#samples.sort((a, b) => a - b);
    this.#samples = [];
    return sorted[sorted.length >> 1]!;
  }
}

/**
 * `limit = g + √g`, `g = limit · clamp(1.25 · minRTT / latency, 0.5, 2)`, medians of 100 ms. Every 60 s, and when the limit was
 * 3 five times in a row, minRTT is measured anew: 50 calls, 3 at a time. As Envoy's gradient controller of adaptive concurrency
 * with its defaults, and the intervals of its documentation's example.
 */
export const envoyGradient =
  (random: () => number): LimitFactory =>
  () =>
    new EnvoyGradient(random);
