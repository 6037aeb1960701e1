import type { ClientHttp2Session } from "node:http2";
import type { Clock, Timer } from "../../clock/clock.ts";

/** When a session is no longer of use. */
export interface SessionWatchOptions {
  readonly idleTimeoutMs: number;
  readonly keepAliveMs: number;
}

/**
 * Closes a session that was idle for long, and gives up one whose other side is gone without a word: while it owes answers
 * it is asked now and then whether it is there (PING), and must have answered by the next time. Else every call would go to
 * it, up to its deadline, for as long as TCP tries.
 */
export class SessionWatch {
  /** Streams that are open. */
  streams = 0;
  readonly #session: ClientHttp2Session;
  readonly #clock: Clock;
  readonly #options: SessionWatchOptions;
  #idleSinceMs: number;
  #asked = false;
  #idle: Timer;
  #alive: Timer;

  constructor(session: ClientHttp2Session, clock: Clock, options: SessionWatchOptions) {
    this.#session = session;
    this.#clock = clock;
    this.#options = options;
    this.#idleSinceMs = clock.now();
    this.#idle = this.#in(options.idleTimeoutMs, () => this.#closeIdle());
    this.#alive = this.#in(options.keepAliveMs, () => this.#ask());
  }

  opened(): void {
    this.streams++;
  }

  /** @returns whether none is left. */
  closed(): boolean {
    if (--this.streams > 0) return false;
    this.#idleSinceMs = this.#clock.now();
    return true;
  }

  stop(): void {
    this.#idle.cancel();
    this.#alive.cancel();
  }

  #closeIdle(): void {
    const { idleTimeoutMs } = this.#options;
    const leftMs = this.streams > 0 ? idleTimeoutMs : this.#idleSinceMs + idleTimeoutMs - this.#clock.now();
    if (leftMs <= 0) this.#session.close();
    else this.#idle = this.#in(leftMs, () => this.#closeIdle());
  }

  #ask(): void {
    const { keepAliveMs } = this.#options;
    const session = this.#session;
    if (session.destroyed) return;
    if (this.#asked) return session.destroy(new Error(`no sign of life for ${keepAliveMs} ms`));
    if (this.streams > 0) {
      this.#asked = true;
      session.ping(() => {
        this.#asked = false;
      });
    }
    this.#alive = this.#in(keepAliveMs, () => this.#ask());
  }

  #in(ms: number, run: () => void): Timer {
    const timer = this.#clock.schedule(ms, run);
    timer.unref();
    return timer;
  }
}
