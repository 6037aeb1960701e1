import type { Clock, Timer } from "../clock/clock.ts";
import type { Cpu } from "./cpu.ts";

/** How far a machine's clock is from the truth. */
export interface ClockSkew {
  /** What its time of day is ahead, milliseconds; negative: behind. Default 0. */
  readonly offsetMs?: number;
  /** How much faster it goes: 0.0001 is 100 ppm, or 8.6 s a day. Above -1. Default 0. */
  readonly drift?: number;
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
    let live = true;
    const timer = this.#world.schedule(delayMs / this.#rate, () => {
      this.#cpu.run(0, () => {
        if (live) callback();
      });
    });
    return {
      cancel() {
        live = false;
        timer.cancel();
      },
      unref() {},
    };
  }

  /** Sets the time of day, as an administrator or NTP would: by so much, at once. */
  jump(ms: number): void {
    this.#offsetMs += ms;
  }
}
