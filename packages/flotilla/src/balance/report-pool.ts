import type { Avoided, Candidate } from "./balancer.ts";
import { Heat } from "./heat.ts";

/** With so few in flight none is hot: where hardly anything is, one more would do, and the slow would look cold beside the busy. */
const NEVER_HOT = 2;

/** More than any latency, milliseconds. */
const HOT = 1e12;
/** Where latencies are the same, calls in flight decide. */
const TIE = 1e-6;

/** What stands in the pool, side by side: one number of each kind for each report. */
export class ReportPool<C extends Candidate> {
  /** Whom each report is of, as a place in `candidates`. */
  readonly #places: Int32Array;
  readonly #inFlight: Float64Array;
  readonly #latencyMs: Float64Array;
  readonly #sinceMs: Float64Array;
  readonly #uses: Int32Array;
  readonly #heat: Heat;
  #candidates: readonly C[] = [];
  /** The slot of each candidate's report, by place; -1 without one. */
  #slots = new Int32Array(0);
  #size = 0;
  /** At most so many. */
  #room = 0;
  #worstNext = false;
  /** None is older. */
  #oldestMs = Infinity;

  /**
   * @param size - most reports it is ever to hold.
   * @param hotQuantile - see `PrequalOptions`.
   */
  constructor(size: number, hotQuantile: number) {
    this.#places = new Int32Array(size);
    this.#inFlight = new Float64Array(size);
    this.#latencyMs = new Float64Array(size);
    this.#sinceMs = new Float64Array(size);
    this.#uses = new Int32Array(size);
    this.#heat = new Heat(hotQuantile);
  }

  get size(): number {
    return this.#size;
  }

  /** Whom a report is of. */
  place(slot: number): number {
    return this.#places[slot]!;
  }

  /** @param placeOf - where each of the new candidates stands; reports of those that have none are forgotten. */
  update(candidates: readonly C[], placeOf: ReadonlyMap<C, number>, room: number): void {
    const before = this.#candidates;
    this.#candidates = candidates;
    this.#slots = new Int32Array(candidates.length).fill(-1);
    this.#room = room;
    let kept = 0;
    for (let slot = 0; slot < this.#size; slot++) {
      const place = placeOf.get(before[this.#places[slot]!]!);
      if (place === undefined || kept === room) continue;
      this.#move(slot, kept);
      this.#places[kept] = place;
      this.#slots[place] = kept++;
    }
    this.#size = kept;
  }

  /** Keeps the report instead of an earlier one of the same candidate; the oldest makes room for it. */
  add(place: number, inFlight: number, latencyMs: number, nowMs: number, uses: number): void {
    this.#heat.record(inFlight);
    let slot = this.#slots[place]!;
    if (slot < 0) {
      if (this.#size === this.#room) this.#drop(this.#oldest());
      slot = this.#size++;
      this.#places[slot] = place;
      this.#slots[place] = slot;
    }
    this.#inFlight[slot] = inFlight;
    this.#latencyMs[slot] = latencyMs;
    this.#sinceMs[slot] = nowMs;
    if (nowMs < this.#oldestMs) this.#oldestMs = nowMs;
    this.#uses[slot] = uses;
  }

  /** Throws away what is older. */
  expire(sinceMs: number): void {
    if (this.#oldestMs >= sinceMs) return;
    this.#oldestMs = Infinity;
    for (let slot = this.#size - 1; slot >= 0; slot--) {
      if (this.#sinceMs[slot]! < sinceMs) this.#drop(slot);
      else this.#oldestMs = Math.min(this.#oldestMs, this.#sinceMs[slot]!);
    }
  }

  /** Of the cold ones that which is fastest, of none but hot ones that which has the least to do; -1 when all were tried. */
  best(tried: Avoided<C> | undefined): number {
    const limit = this.#limit;
    let best = -1;
    let least = Infinity;
    for (let slot = 0; slot < this.#size; slot++) {
      const cost = this.#cost(slot, limit);
      if (cost >= least || tried?.has(this.#candidates[this.#places[slot]!]!) === true) continue;
      best = slot;
      least = cost;
    }
    return best;
  }

  /** The candidate of a report, which is to be sent a call of so much weight. */
  use(slot: number, load: number): C {
    const candidate = this.#candidates[this.#places[slot]!]!;
    // Until the next report what we send it now adds to what it has; and what calls take grows with those in flight.
    const inFlight = this.#inFlight[slot]!;
    this.#inFlight[slot] = inFlight + load;
    this.#latencyMs[slot]! *= (inFlight + load + 1) / (inFlight + 1);
    if (--this.#uses[slot]! <= 0) this.#drop(slot);
    return candidate;
  }

  /** Throws one away: in turns the oldest, which says the least, and the worst, which would be chosen only for want of others. */
  removeOne(): void {
    this.#worstNext = !this.#worstNext;
    if (!this.#worstNext) return this.#drop(this.#oldest());
    const limit = this.#limit;
    let worst = 0;
    let most = -1;
    for (let slot = 0; slot < this.#size; slot++) {
      const cost = this.#cost(slot, limit);
      if (cost <= most) continue;
      worst = slot;
      most = cost;
    }
    this.#drop(worst);
  }

  /** Who has more in flight is hot. */
  get #limit(): number {
    return Math.max(NEVER_HOT, this.#heat.limit);
  }

  /** One number for the order: first all that are cold, by latency, then the hot, by their calls in flight. */
  #cost(slot: number, limit: number): number {
    const inFlight = this.#inFlight[slot]!;
    return inFlight > limit ? HOT + inFlight : this.#latencyMs[slot]! + inFlight * TIE;
  }

  #oldest(): number {
    const since = this.#sinceMs;
    let oldest = 0;
    for (let slot = 1; slot < this.#size; slot++) if (since[slot]! < since[oldest]!) oldest = slot;
    return oldest;
  }

  #drop(slot: number): void {
    this.#slots[this.#places[slot]!] = -1;
    const last = --this.#size;
    if (slot === last) return;
    this.#move(last, slot);
    this.#slots[this.#places[slot]!] = slot;
  }

  #move(from: number, to: number): void {
    this.#places[to] = this.#places[from]!;
    this.#inFlight[to] = this.#inFlight[from]!;
    this.#latencyMs[to] = this.#latencyMs[from]!;
    this.#sinceMs[to] = this.#sinceMs[from]!;
    this.#uses[to] = this.#uses[from]!;
  }
}
