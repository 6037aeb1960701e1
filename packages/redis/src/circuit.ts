import type { Clock, Random } from "flotilla/clock";

/** So many failures, one after the other, open the circuit. */
const FAILURES = 3;
const FIRST_PROBE_MS = 100;
const MAX_PROBE_MS = 5_000;

/**
 * Keeps those who are in a hurry from asking what does not answer: after three failures one after the other nobody asks, but for one
 * probe now and then, for which no call waits. The pause before a probe doubles from 100 ms to 5 s, each time shortened by a
 * random part of up to half, so that many processes do not all come back at once. Time is worked out when somebody asks; no
 * timer runs.
 */
export class Circuit {
  readonly #clock: Clock;
  readonly #random: Random;
  #failures = 0;
  #pauseMs = FIRST_PROBE_MS;
  #probeAtMs = Infinity;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Whether calls may wait for an answer. */
  get closed(): boolean {
    return this.#failures < FAILURES;
  }

  /** Milliseconds until it is found out next whether there are answers again. */
  get probeInMs(): number {
    if (this.closed) return FIRST_PROBE_MS;
    // While a probe is under way nothing else is known.
    return this.#probeAtMs === Infinity ? this.#pauseMs : Math.max(1, this.#probeAtMs - this.#clock.now());
  }

  /** Whether a probe is due. When it is, the caller sends one and tells how it ended; until then there is no other. */
  takeProbe(): boolean {
    if (this.closed || this.#clock.now() < this.#probeAtMs) return false;
    this.#probeAtMs = Infinity;
    return true;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#pauseMs = FIRST_PROBE_MS;
    this.#probeAtMs = Infinity;
  }

  /** A call that waited has failed. */
  failed(): void {
    this.#failures++;
    if (this.#failures === FAILURES) this.#pause();
  }

  probeFailed(): void {
    this.#pauseMs = Math.min(MAX_PROBE_MS, this.#pauseMs * 2);
    this.#pause();
  }

  #pause(): void {
    this.#probeAtMs = this.#clock.now() + this.#pauseMs * (1 - this.#random.next() / 2);
  }
}
