import type { Kind, Limit, LimitFactory } from "flotilla/resilience";

const BUCKETS = 100;
const BUCKET_MS = 100;
const HOT = 0.8;
const COOL_OFF_MS = 1000;
const NO_LIMIT = 1000;

class Bbr implements Limit {
  readonly #now: () => number;
  readonly #cpu: () => number;
  readonly #passed = new Float64Array(BUCKETS);
  readonly #sumMs = new Float64Array(BUCKETS);
  #bucket = 0;
  #most = NO_LIMIT;
  #droppedMs = -Infinity;

  constructor(now: () => number, cpu: () => number) {
    this.#now = now;
    this.#cpu = cpu;
  }

  get current(): number {
    const nowMs = this.#now();
    this.#turn(nowMs);
    return this.#cpu() >= HOT || nowMs - this.#droppedMs <= COOL_OFF_MS ? this.#most : NO_LIMIT;
  }

  kind(): Kind {
    return { inFlight: 0 };
  }

  pressed(): void {
    const nowMs = this.#now();
    if (this.#cpu() >= HOT && nowMs - this.#droppedMs > COOL_OFF_MS) this.#droppedMs = nowMs;
  }

  ended(nowMs: number, durationMs: number): void {
    this.#turn(nowMs);
    this.#passed[this.#bucket % BUCKETS]! += 1;
    this.#sumMs[this.#bucket % BUCKETS]! += Math.ceil(durationMs);
  }

  #turn(nowMs: number): void {
    const bucket = Math.floor(nowMs / BUCKET_MS);
    if (bucket === this.#bucket) return;
    let [maxPass, minRt] = [1, Infinity];
    for (let i = 0; i < BUCKETS; i++) {
      const passed = this.#passed[i]!;
      maxPass = Math.max(maxPass, passed);
      if (passed > 0) minRt = Math.min(minRt, this.#sumMs[i]! / passed);
    }
    this.#most = minRt === Infinity ? NO_LIMIT : Math.max(1, Math.round((maxPass * Math.ceil(minRt)) / BUCKET_MS));
    for (let i = Math.max(this.#bucket + 1, bucket - BUCKETS + 1); i <= bucket; i++) {
      this.#passed[i % BUCKETS] = this.#sumMs[i % BUCKETS] = 0;
    }
    this.#bucket = bucket;
  }
}

/**
 * `limit = maxPass · minRT` over 10 s in slots of 100 ms, in force while the processor is more than 80 % busy and for a second
 * after. As in Kratos (go-kratos/aegis `ratelimit/bbr`) and go-zero (`core/load`), after TCP BBR (Cardwell et al., ACM Queue
 * 14(5), 2016) and Alibaba's Sentinel.
 *
 * @param cpu - share of the processor that is busy, smoothed: 0.95 of the last value every half second.
 */
export const bbr =
  (cpu: () => number): LimitFactory =>
  (clock) =>
    new Bbr(() => clock.now(), cpu);
