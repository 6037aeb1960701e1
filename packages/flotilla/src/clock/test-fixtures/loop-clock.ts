import type { Clock, EventLoop, Timer } from "../clock.ts";
import { VirtualClock } from "../virtual-clock.ts";

/** A loop that comes round so late, and is idle for such a share of the time. */
class BusyLoop implements EventLoop {
  turnMs = 0;
  idleShare = 0;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  idleMs(): number {
    return this.#clock.now() * this.idleShare;
  }

  whenRound(callback: () => void): void {
    this.#clock.schedule(this.turnMs, callback);
  }
}

/** A virtual clock with such a loop. */
export class LoopClock implements Clock {
  readonly virtual = new VirtualClock();
  readonly loop = new BusyLoop(this.virtual);
  now = (): number => this.virtual.now();
  epoch = (): number => this.virtual.epoch();
  schedule = (delayMs: number, callback: () => void): Timer => this.virtual.schedule(delayMs, callback);
}
