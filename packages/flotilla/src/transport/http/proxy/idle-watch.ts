import type { Clock, Timer } from "../../../clock/clock.ts";

/** Notices when nothing has moved for too long. */
export class IdleWatch {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #idle: () => void;
  #movedMs: number;
  #timer: Timer | undefined;

  /** @param idle - called once, unless it is stopped before. */
  constructor(clock: Clock, timeoutMs: number, idle: () => void) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#idle = idle;
    this.#movedMs = clock.now();
  }

  /** Something has moved. */
  moved(): void {
    this.#movedMs = this.#clock.now();
  }

  start(): void {
    this.#look(this.#timeoutMs);
  }

  #look(ms: number): void {
    this.#timer = this.#clock.schedule(ms, () => {
      const leftMs = this.#timeoutMs - (this.#clock.now() - this.#movedMs);
      if (leftMs > 0) this.#look(leftMs);
      else this.#idle();
    });
    this.#timer.unref();
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
