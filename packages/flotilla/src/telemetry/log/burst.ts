import type { Clock, Timer } from "../../clock/clock.ts";
import { copyOf } from "./contain.ts";

/** How many lines of one message are written. */
export interface BurstOptions {
  /** So many at once. 1 or more. Default 1000. */
  readonly burst?: number;
  /** And so many a second, on average. More than 0. Default 100. */
  readonly perSecond?: number;
  /** Messages that are told apart; those not seen for longest are forgotten. 2 or more. Default 1000. */
  readonly messages?: number;
}

interface Bucket {
  readonly level: number;
  readonly message: string;
  tokens: number;
  atMs: number;
  suppressed: number;
}

/** Suppressed lines are told of so long after the first. */
const REPORT_AFTER_MS = 1000;
/** Messages are told apart by their beginning. */
const KEY_LENGTH = 200;

/**
 * A token bucket for every message at every level, so that one line in a loop cannot push all others out.
 *
 * Buckets live in two generations: when the young one is half of `messages`, it becomes the old one and the old one is forgotten. That is
 * nearly the least recently used, without moving entries about at every line.
 */
export class BurstLimiter {
  readonly #burst: number;
  readonly #perMs: number;
  readonly #half: number;
  readonly #clock: Clock;
  readonly #report: (level: number, message: string, suppressed: number) => void;
  #young = new Map<string, Bucket>();
  #old = new Map<string, Bucket>();
  readonly #suppressing = new Set<Bucket>();
  #timer: Timer | undefined;

  /**
   * @param report - writes the line about lines that were not written.
   * @throws RangeError when an option is not legal, naming it.
   */
  constructor(
    { burst = 1000, perSecond = 100, messages = 1000 }: BurstOptions,
    clock: Clock,
    report: (level: number, message: string, suppressed: number) => void,
  ) {
    if (!(burst >= 1)) throw new RangeError(`logging: burst.burst must be 1 or more lines, got ${burst}`);
    if (!(perSecond > 0)) throw new RangeError(`logging: burst.perSecond must be more than 0 lines, got ${perSecond}`);
    if (!(messages >= 2)) throw new RangeError(`logging: burst.messages must be 2 or more, got ${messages}`);
    this.#burst = burst;
    this.#perMs = perSecond / 1000;
    this.#half = Math.floor(messages / 2);
    this.#clock = clock;
    this.#report = report;
  }

  /** Messages that are told apart now. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** Whether a line of this message may be written now. */
  admit(level: number, message: string): boolean {
    const bucket = this.#bucket(level, message);
    const nowMs = this.#clock.now();
    bucket.tokens = Math.min(this.#burst, bucket.tokens + (nowMs - bucket.atMs) * this.#perMs);
    bucket.atMs = nowMs;
    if (bucket.tokens >= 1) {
      bucket.tokens--;
      return true;
    }
    if (bucket.suppressed++ === 0) {
      this.#suppressing.add(bucket);
      if (this.#timer === undefined) {
        this.#timer = this.#clock.schedule(REPORT_AFTER_MS, () => this.flush());
        this.#timer.unref();
      }
    }
    return false;
  }

  /** Tells of what was suppressed and not told yet. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const bucket of this.#suppressing) {
      const { level, message, suppressed } = bucket;
      bucket.suppressed = 0;
      this.#report(level, message, suppressed);
    }
    this.#suppressing.clear();
  }

  #bucket(level: number, message: string): Bucket {
    // The level is one character in front: 10 to 60.
    const text = message.length > KEY_LENGTH ? copyOf(message.slice(0, KEY_LENGTH)) : message;
    const key = String.fromCharCode(level) + text;
    let bucket = this.#young.get(key);
    if (bucket !== undefined) return bucket;
    bucket = this.#old.get(key);
    bucket ??= { level, message: text, tokens: this.#burst, atMs: this.#clock.now(), suppressed: 0 };
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, bucket);
    return bucket;
  }
}
