import type { Clock, Timer } from "../clock/clock.ts";
import type { Cpu } from "./cpu.ts";

/** How far a machine's clock is from the truth. */
export interface ClockSkew {
  /** What its time of day is ahead, milliseconds; negative: behind. Default 0. */
  readonly offsetMs?: number;
  /** How much faster it goes: 0.0001 is 100 ppm, or 8.6 s a day. Above -1. Default 0. */
  readonly drift?: number;
}

/** A timer that is due when its time has come and its turn, too. */
class LoopTimer implements Timer {
  readonly #timer: Timer;
  #live = true;

  constructor(world: Clock, delayMs: number, cpu: Cpu, callback: () => void) {
    const run = (): void => {
      if (this.#live) callback();
    };
    this.#timer = world.schedule(delayMs, () => cpu.run(0, run));
  }

  cancel(): void {
    this.#live = false;
    this.#timer.cancel();
  }

  unref(): void {}
}

/**
 * The clock of one process. Its timers run on the process's own event loop: late when that is busy or paused, never when the
 * process has died.
 */
export class ProcessClock implements Clock {
  readonly #world: Clock;
  readonly #cpu: Cpu;
  readonly #rate: number;
  #offsetMs: number;

  constructor(world: Clock, cpu: Cpu, { offsetMs = 0, drift = 0 }: ClockSkew) {
    this.#world = world;
    this.#cpu = cpu;
    this.#rate = 1 + drift;
    this.#offsetMs = offsetMs;
  }

  now(): number {
    return this.#world.now() * this.#rate;
  }

  epoch(): number {
    return this.#world.epoch() + this.#offsetMs + this.#world.now() * (this.#rate - 1);
  }

  schedule(delayMs: number, callback: () => void): Timer {
    return new LoopTimer(this.#world, delayMs / this.#rate, this.#cpu, callback);
  }

  /** Sets the time of day, as an administrator or NTP would: by so much, at once. */
  jump(ms: number): void {
    this.#offsetMs += ms;
  }
}
