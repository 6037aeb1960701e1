import type { Clock } from "../../clock/clock.ts";
import type { Random } from "../../clock/random.ts";
import type { Trip, TripFactory } from "./trip.ts";

/** How a breaker stands. */
export interface BreakerState {
  /** What it is around: the procedure, or the service. */
  readonly name: string;
  readonly state: "closed" | "open" | "half_open";
  /** Why it opened last; undefined while it is closed. */
  readonly reason: string | undefined;
  /** Until the next probe is let through, should those under way not end before, milliseconds; 0 when one may go now, undefined while it is closed. */
  readonly nextProbeMs: number | undefined;
  /** Times it has opened so far, after probes that failed too. */
  readonly openings: number;
  /** Calls it has refused so far. */
  readonly refused: number;
}

/** What a {@link Breaker} is made with. */
export interface BreakerSettings {
  readonly trip: TripFactory;
  readonly openMs: number;
  readonly maxOpenMs: number;
  readonly probes: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly onChange: ((state: BreakerState) => void) | undefined;
}

const CLOSED = 0;
const OPEN = 1;
const HALF_OPEN = 2;
const names = ["closed", "open", "half_open"] as const;

/**
 * A circuit breaker: lets calls through while it is closed, none while it is open, and so many probes at a time when it has been
 * open for long enough. As many probes in a row must succeed for it to close; one that fails, or is slow, opens it again, for twice as long.
 *
 * A probe that says nothing for as long as the circuit was open lets another one through, so that none of them can hold up all other calls.
 *
 * What a call has to say counts only in the state it was let through in: late news of an earlier state are thrown away.
 */
export class Breaker {
  readonly name: string;
  readonly #settings: BreakerSettings;
  #state: typeof CLOSED | typeof OPEN | typeof HALF_OPEN = CLOSED;
  #trip: Trip;
  /** Counts the changes of state. */
  #generation = 0;
  #reason: string | undefined;
  /** Open: when probes may go. Half open: when a further one may, though as many as may be are under way. */
  #nextProbeMs = 0;
  /** For how long it was open last. */
  #openMs = 0;
  /** How often it opened without having been closed between. */
  #inARow = 0;
  #openings = 0;
  #probing = 0;
  #probesOk = 0;
  #refused = 0;

  constructor(name: string, settings: BreakerSettings) {
    this.name = name;
    this.#settings = settings;
    this.#trip = settings.trip(settings.clock);
  }

  get state(): BreakerState {
    return {
      name: this.name,
      state: names[this.#state],
      reason: this.#reason,
      nextProbeMs: this.#state === CLOSED ? undefined : this.#untilProbeMs(),
      openings: this.#openings,
      refused: this.#refused,
    };
  }

  /** Lets a call through: what to hand back with its outcome. -1 when it is refused. */
  enter(): number {
    if (this.#state === CLOSED) return this.#generation;
    if (this.refuses()) return -1;
    if (this.#state === OPEN) this.#turn(HALF_OPEN, this.#reason);
    this.#probing++;
    this.#nextProbeMs = this.#settings.clock.now() + this.#openMs;
    return this.#generation;
  }

  #untilProbeMs(): number {
    if (this.#state === HALF_OPEN && this.#probing < this.#settings.probes) return 0;
    return Math.max(0, this.#nextProbeMs - this.#settings.clock.now());
  }

  /** Whether a call is refused as things stand; it is counted then. */
  refuses(): boolean {
    if (this.#state === CLOSED) return false;
    const full = this.#untilProbeMs() > 0;
    if (full) this.#refused++;
    return full;
  }

  /** A call that was let through has ended, in a way that tells something of the one called. */
  record(entered: number, failed: boolean, durationMs: number, nowMs: number): void {
    if (entered !== this.#generation) return;
    if (this.#state === CLOSED) {
      const why = this.#trip.record(nowMs, failed, durationMs);
      if (why !== undefined) this.#open(nowMs, why);
      return;
    }
    this.#probing--;
    const { slowMs = Infinity } = this.#trip;
    if (failed) this.#open(nowMs, "a probe failed");
    else if (durationMs >= slowMs) this.#open(nowMs, `a probe took ${slowMs} ms or more`);
    else this.#succeeded();
  }

  /** A stream that was let through has begun: as a probe it has succeeded, for it may last for hours. */
  begun(entered: number): void {
    if (entered !== this.#generation || this.#state !== HALF_OPEN) return;
    this.#probing--;
    this.#succeeded();
  }

  /** A stream that had begun has ended, in a way that tells something of the one called. */
  recordStream(entered: number, failed: boolean, nowMs: number): void {
    if (entered !== this.#generation) return;
    if (this.#state === CLOSED) this.record(entered, failed, 0, nowMs);
    else if (failed) this.#open(nowMs, "a probe failed");
  }

  #succeeded(): void {
    if (++this.#probesOk < this.#settings.probes) return;
    this.#inARow = 0;
    this.#trip = this.#settings.trip(this.#settings.clock);
    this.#turn(CLOSED, undefined);
  }

  /** A call that was let through has ended, and tells nothing: its caller gave up, or asked for nonsense. */
  dismiss(entered: number): void {
    if (entered === this.#generation && this.#state === HALF_OPEN) this.#probing--;
  }

  #open(nowMs: number, why: string): void {
    const { openMs, maxOpenMs, random } = this.#settings;
    const base = Math.min(maxOpenMs, openMs * 2 ** this.#inARow++);
    this.#openings++;
    // From half to one and a half: breakers that opened together must not probe together.
    this.#openMs = base * (0.5 + random.next());
    this.#nextProbeMs = nowMs + this.#openMs;
    this.#turn(OPEN, why);
  }

  #turn(state: 0 | 1 | 2, reason: string | undefined): void {
    this.#state = state;
    this.#reason = reason;
    this.#generation++;
    this.#probing = 0;
    this.#probesOk = 0;
    this.#settings.onChange?.(this.state);
  }
}
