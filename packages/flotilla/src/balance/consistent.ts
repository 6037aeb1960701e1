import { type Random, randomInt } from "../clock/random.ts";
import { hash32 } from "../codec/hash.ts";
import type { Context } from "../context/context.ts";
import type { Avoided, Balancer, Candidate } from "./balancer.ts";
import { weightOf } from "./weight.ts";

/** Picks between two counts of the calls in flight. */
const MIN_PICKS = 256;

/** What the balancers by key have in common. */
export interface ByKeyOptions {
  /** What decides where a call goes: a tenant, a session, the id of what is asked for. Undefined: any instance. */
  readonly key: (ctx: Context) => string | undefined;
  /**
   * An instance with more than so many times its share of all calls in flight is passed over; 1 or more, Infinity for never. Default
   * 1.25.
   */
  readonly maxLoad?: number;
}

/** Where a hash leads: places around a circle, each one an index into the candidates. */
export interface Circle {
  /** The place of a hash. */
  place(hash: number): number;
  /** Who is at a place. */
  at(place: number): number;
  /** The place after. */
  next(place: number): number;
  readonly places: number;
}

/** @throws RangeError when `maxLoad` is below 1, naming the balancer. */
export function checkMaxLoad(of: string, maxLoad: number): void {
  if (!(maxLoad >= 1)) throw new RangeError(`${of}: maxLoad must be 1 or more, got ${maxLoad}`);
}

/**
 * Sends calls with one key to one instance, and on to the next ones on the circle while that has too many calls.
 *
 * Algorithm: consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, SODA 2018).
 */
export class ByKey<C extends Candidate> implements Balancer<C> {
  readonly #key: (ctx: Context) => string | undefined;
  readonly #maxLoad: number;
  readonly #make: (candidates: readonly C[]) => Circle;
  readonly #random: Random;
  #candidates: readonly C[] = [];
  #circle: Circle | undefined;
  #weights = 1;
  /** Calls in flight to all of them: counted, and from time to time added up anew, for a pick may end in no call. */
  #inFlight = 0;
  #picksLeft = 0;

  constructor(options: Required<ByKeyOptions>, make: (candidates: readonly C[]) => Circle, random: Random) {
    this.#key = options.key;
    this.#maxLoad = options.maxLoad;
    this.#make = make;
    this.#random = random;
  }

  update(candidates: readonly C[]): void {
    // By id: every client that knows the same instances has the same circle.
    this.#candidates = candidates.toSorted((a, b) => (a.instance.id < b.instance.id ? -1 : 1));
    this.#circle = candidates.length === 0 ? undefined : this.#make(this.#candidates);
    this.#weights = 0;
    for (const candidate of candidates) this.#weights += weightOf(candidate);
    this.#count();
  }

  #count(): void {
    this.#inFlight = 0;
    for (const { inFlight } of this.#candidates) this.#inFlight += inFlight;
    // As many as it takes to make the cost of a count that of one candidate a pick.
    this.#picksLeft = Math.max(MIN_PICKS, this.#candidates.length);
  }

  pick(ctx: Context, tried?: Avoided<C>): C | undefined {
    const circle = this.#circle;
    if (circle === undefined) return undefined;
    if (this.#picksLeft-- === 0) this.#count();
    const key = this.#key(ctx);
    const start = key === undefined ? randomInt(this.#random, circle.places) : circle.place(hash32(key));
    const first = this.#candidates[circle.at(start)]!;
    const picked =
      tried?.has(first) !== true && first.inFlight < this.#room(first) ? first : this.#search(circle, start, tried);
    this.#inFlight++;
    return picked ?? first;
  }

  done(): void {
    if (this.#inFlight > 0) this.#inFlight--;
  }

  /** So many calls one may have, the next one counted in. */
  #room(candidate: C): number {
    if (this.#maxLoad === Infinity) return Infinity;
    return Math.ceil((this.#maxLoad * (this.#inFlight + 1) * weightOf(candidate)) / this.#weights);
  }

  /** The first with room that was not tried; without room if it must be. */
  #search(circle: Circle, start: number, tried: Avoided<C> | undefined): C | undefined {
    let crowded: C | undefined;
    let place = start;
    for (let steps = 0; steps < circle.places; steps++, place = circle.next(place)) {
      const candidate = this.#candidates[circle.at(place)]!;
      if (tried?.has(candidate) === true) continue;
      crowded ??= candidate;
      if (candidate.inFlight < this.#room(candidate)) return candidate;
    }
    return crowded;
  }
}
