import type { Kind } from "./limit.ts";

/** A norm is known from so many calls on. */
const KNOWN = 4;
/** Where none of the first calls was one of few, any will do after so many. */
const ANY = 200;
/** Calls counted in full before a norm becomes a mean in which older ones count less. */
const REMEMBERED = 64;
/** What is shorter than this tells of the clock and the event loop, not of the method. */
const GRAIN_MS = 1;
/** How fast it is forgotten how many calls were in flight. */
const CROWD_SHARE = 0.05;

/** Durations are compared by their roots: the mean of these is not at the mercy of a few long calls, nor of many short ones. */
export function rootOf(durationMs: number): number {
  return Math.sqrt(durationMs + GRAIN_MS);
}

/** What calls of one method take. */
export class Norm implements Kind {
  inFlight = 0;
  /** Mean root of the durations of calls that hardly waited for others. */
  root = 1;
  /** How many of its kind a call finds in flight, usually. */
  crowd = 1;
  #known = 0;
  #others = 0;
  // Of the calls judged now.
  batch = 0;
  count = 0;
  roots = 0;
  /** How many times as long as the norm calls took before the limit went down. */
  before = 1;

  get isKnown(): boolean {
    return this.#known >= KNOWN;
  }

  /** A call that hardly waited; as long as the norm is not known, one of the first few will do. */
  learn(root: number, alike: number): void {
    if (!this.isKnown && alike > KNOWN && this.#others++ < ANY) return;
    if (this.#known < REMEMBERED) this.#known++;
    this.root += (root - this.root) / this.#known;
  }

  /** A call has found so many alike. */
  among(alike: number): void {
    this.crowd += (alike - this.crowd) * CROWD_SHARE;
  }
}

/** The norms of all methods: they differ too much to be judged by one measure. */
export class Norms {
  readonly #norms: Norm[] = [];
  #batch = 1;

  kind(): Norm {
    const norm = new Norm();
    this.#norms.push(norm);
    return norm;
  }

  get inFlight(): number {
    let sum = 0;
    for (const norm of this.#norms) sum += norm.inFlight;
    return sum;
  }

  /** Adds a call to those judged. */
  judge(norm: Norm, root: number): void {
    if (norm.batch !== this.#batch) {
      norm.batch = this.#batch;
      norm.count = norm.roots = 0;
    }
    norm.count++;
    norm.roots += root;
  }

  /** Forgets the calls judged. */
  restart(): void {
    this.#batch++;
  }

  /** No more than so many are in flight from now on. */
  noMoreThan(limit: number): void {
    for (const norm of this.#norms) norm.crowd = Math.min(norm.crowd, limit);
  }

  /**
   * The share of the calls in flight that is left when those of each method are to take no more than so many times their norm.
   *
   * @param doubt - how much what few calls show is doubted, in favour of more calls, or of fewer: below 0.
   */
  share(times: number, doubt: number): number {
    let all = 0;
    let left = 0;
    for (const norm of this.#norms) {
      all += norm.inFlight;
      const slowdown = this.#slowdown(norm);
      const bound = doubt === 0 ? times : times * (1 + doubt / Math.sqrt(norm.count));
      left += slowdown > bound ? (norm.inFlight * bound) / slowdown : norm.inFlight;
    }
    return all === 0 ? 1 : left / all;
  }

  /** Remembers how long the calls judged take. */
  remember(): void {
    for (const norm of this.#norms) norm.before = this.#slowdown(norm);
  }

  /** What was remembered is what calls take, but for so many times that they waited for each other. */
  adopt(waited: number): void {
    for (const norm of this.#norms) norm.root *= Math.sqrt(Math.max(1, norm.before / waited));
  }

  /** What the calls judged take is so many times the norm. */
  adoptJudged(times: number): void {
    for (const norm of this.#norms) {
      if (norm.batch === this.#batch) norm.root = norm.roots / norm.count / Math.sqrt(times);
    }
  }

  /** How many times as long as the norm the calls judged take; 1 where there are none. */
  #slowdown(norm: Norm): number {
    return norm.batch === this.#batch ? (norm.roots / norm.count / norm.root) ** 2 : 1;
  }
}
