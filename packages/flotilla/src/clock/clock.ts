/**
 * Time as a parameter: everything that waits, expires or measures takes a `Clock`, so that the same code runs on the
 * system's clock, on a virtual one in tests, and in the simulator.
 */
export interface Clock {
  /** Monotonic time in milliseconds (fractional) from an arbitrary origin. Never goes backwards. */
  now(): number;
  /** Wall-clock time in milliseconds since the Unix epoch. May jump; use it for timestamps, never for durations. */
  epoch(): number;
  /**
   * Calls `callback` once, no earlier than `delayMs` milliseconds from now.
   *
   * @param delayMs - milliseconds, 0 or more; what is negative or not a number counts as 0. Delays above 2^31-1 ms
   *   (24.8 days) are waited for in steps; Infinity never comes.
   */
  schedule(delayMs: number, callback: () => void): Timer;
  /** The event loop that the callbacks run on; left out where there is none, as under a virtual clock. */
  readonly loop?: EventLoop;
}

/** What an event loop tells of itself. */
export interface EventLoop {
  /** How long it has been idle so far, milliseconds from an arbitrary origin. */
  idleMs(): number;
  /**
   * Calls `callback` when it has come round and has read what had arrived by then, connections to be accepted included; when ever more
   * arrives after reading for as long as it did something else before, and some milliseconds at least. Keeps the process alive for no longer than that.
   */
  whenRound(callback: () => void): void;
}

/** A callback waiting on a {@link Clock}. */
export interface Timer {
  /** Forgets the callback if it has not run. Safe to call twice. */
  cancel(): void;
  /** Lets the process exit while this timer is waiting. A virtual clock ignores it. */
  unref(): void;
}
