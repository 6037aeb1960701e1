import type { Throughput } from "./throughput.ts";

/** What fewer calls do is compared when so many ought to have ended, or as soon as it is clear. */
const ENOUGH = 128;
const FEWEST = 32;
/** Fewer do less when they do less than this share. */
export const LESS = 0.65;
/** How sure one must be to say so early, standard errors. */
const SURE = 1.5;
/** Calls that end so irregularly are not waited for any longer. */
const MOST_DISPERSED = 4;

/** The limit has gone down. What has come of it? Only as long as there is pressure can that be told. */
export class Step {
  /** Where it stood. */
  readonly limit: number;
  /** Calls that were in flight. */
  readonly inFlight: number;
  /** Whether it went down only to find out. */
  readonly trial: boolean;
  readonly #perMs: number;
  readonly #dispersion: number;
  #weighed = false;
  /** Since when no more are in flight than may be. */
  #sinceMs: number | undefined;
  #ended = 0;

  constructor(nowMs: number, limit: number, inFlight: number, throughput: Throughput, trial: boolean) {
    this.limit = limit;
    this.inFlight = inFlight;
    this.trial = trial;
    this.#perMs = throughput.perMs(nowMs);
    this.#dispersion = Math.max(1, Math.min(MOST_DISPERSED, throughput.dispersion));
  }

  /** Whether it is known that it did no harm, so far. */
  get weighed(): boolean {
    return this.#weighed;
  }

  ended(): void {
    this.#ended++;
  }

  /** From here on it is weighed: it has gone down further, or has been weighed and found right. */
  again(nowMs: number | undefined, weighed: boolean): void {
    this.#sinceMs = nowMs;
    this.#ended = 0;
    this.#weighed = weighed;
  }

  /** Whether more are in flight yet than may be. */
  get isDraining(): boolean {
    return this.#sinceMs === undefined;
  }

  /** Whether nobody has found no room for as long as it takes to weigh it. */
  isOver(pressedMs: number, nowMs: number): boolean {
    return this.#perMs * (nowMs - pressedMs) > FEWEST;
  }

  /**
   * The share of what was done before that is done now; undefined while that cannot be told.
   *
   * @param thorough - so many times the calls that mostly are enough.
   */
  share(nowMs: number, thorough: number): number | undefined {
    if (this.#sinceMs === undefined) return undefined;
    const expected = this.#perMs * (nowMs - this.#sinceMs);
    if (expected < FEWEST && this.#ended < FEWEST) return undefined;
    const share = this.#ended / expected;
    // Where it did no harm there is no hurry to be sure: it goes on being weighed.
    if (expected >= thorough * ENOUGH * (share < LESS ? this.#dispersion : 1)) return share;
    const doubt = SURE * Math.sqrt(this.#dispersion * (1 / expected + 1 / ENOUGH));
    return share < LESS - doubt || (share > LESS + doubt && !this.trial) ? share : undefined;
  }
}
