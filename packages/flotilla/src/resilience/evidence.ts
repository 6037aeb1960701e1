/** No more than one call in so long is measured, milliseconds: more would cost, and tell little more. */
const SAMPLE_MS = 1;
/** Of a method that takes less there is little to be saved, and reading the clock for each call would cost as much. */
const QUICK_MS = 1;
/** Of the calls of such a method one in so many is looked at. */
const QUICK_STRIDE = 32;

/** What an {@link Evidence} is made with. */
export interface EvidenceSettings {
  readonly windowMs: number;
  readonly minCalls: number;
  readonly probeMs: number;
}

/**
 * What the calls of one method take at least, judged by those that went well lately: the least of the window that runs and the one
 * before it. The least and no quantile: calls of one method differ, and those that ask for little may be those in a hurry.
 */
export class Evidence {
  readonly #settings: EvidenceSettings;
  /** Milliseconds; 0 while it is not known. */
  leastMs = 0;
  // Of the window that runs, and of the one before.
  #calls = 0;
  #min = Infinity;
  #callsBefore = 0;
  #minBefore = Infinity;
  #endMs = -Infinity;
  #quick = false;
  #skip = 0;
  #sampledMs = -Infinity;
  #probedMs = -Infinity;

  constructor(settings: EvidenceSettings) {
    this.#settings = settings;
  }

  /** Whether a call is to be looked at, at all. */
  looks(): boolean {
    if (!this.#quick || --this.#skip <= 0) {
      this.#skip = QUICK_STRIDE;
      return true;
    }
    return false;
  }

  /** Whether the call that begins now is to be measured. */
  samples(nowMs: number): boolean {
    if (nowMs - this.#sampledMs < SAMPLE_MS) return false;
    this.#sampledMs = nowMs;
    return true;
  }

  /** Whether a call that has no more than `leastMs` left is made all the same, to see whether that still holds. */
  probes(nowMs: number): boolean {
    this.#turn(nowMs);
    if (this.leastMs > 0 && nowMs - this.#probedMs < this.#settings.probeMs) return false;
    this.#probedMs = nowMs;
    return true;
  }

  /** A call has gone well. */
  record(nowMs: number, durationMs: number): void {
    this.#turn(nowMs);
    this.#calls++;
    if (durationMs < this.#min) this.#min = durationMs;
    this.#judge();
  }

  #turn(nowMs: number): void {
    if (nowMs < this.#endMs) return;
    const { windowMs } = this.#settings;
    const recent = nowMs < this.#endMs + windowMs;
    this.#callsBefore = recent ? this.#calls : 0;
    this.#minBefore = recent ? this.#min : Infinity;
    this.#calls = 0;
    this.#min = Infinity;
    this.#endMs = nowMs + windowMs;
    this.#judge();
  }

  #judge(): void {
    const known = this.#calls + this.#callsBefore >= this.#settings.minCalls;
    this.leastMs = known ? Math.min(this.#min, this.#minBefore) : 0;
    this.#quick = known && this.leastMs < QUICK_MS;
  }
}
