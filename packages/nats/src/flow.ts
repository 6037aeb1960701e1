import type { Wire } from "flotilla/wire";
import { MAX_WINDOW_BYTES } from "./options.ts";

/** What a message counts beside its bytes, so that empty ones are bounded too. */
const MESSAGE_BYTES = 64;

/**
 * What one side may send. The other says how much in all, from the beginning on: a word that is lost or comes twice does no harm. A message may go
 * over the limit with its last bytes; the next one waits.
 */
export class Outflow {
  #sent = 0;
  #limit: number;
  #waiting: ((open: boolean) => void) | undefined;
  #closed = false;

  /** @param limit - bytes that may be sent at once; 0 before the other side has spoken. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Counts a message. @returns whether a further one may be sent: at once, else when there is room; false when nobody reads any more. */
  sent(bytes: number): boolean | Promise<boolean> {
    this.#sent += bytes + MESSAGE_BYTES;
    return this.room();
  }

  room(): boolean | Promise<boolean> {
    if (this.#closed) return false;
    if (this.#sent < this.#limit) return true;
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** @returns false when the limit is absurd: more than anybody may have room for. What is less than before counts for nothing. */
  allow(limit: number): boolean {
    if (limit > this.#sent + MAX_WINDOW_BYTES) return false;
    if (limit <= this.#limit) return true;
    this.#limit = limit;
    if (this.#sent < limit) this.#wake(true);
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#wake(false);
  }

  #wake(open: boolean): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(open);
  }
}

/** Where an {@link Inflow} puts what has come. */
export interface Sink {
  /** Whether it wants more; see `Pipe.write`. */
  write(wire: Wire): boolean | Promise<boolean>;
  /** All that has come was written, and it was all there is. */
  finish(): void;
  /** So much may be sent by now, in all. */
  allow(limit: number): void;
}

interface Waiting {
  readonly wire: Wire;
  readonly cost: number;
}

/** What one side has received and not handed on yet: never more than its window and one message. */
export class Inflow {
  readonly #window: number;
  readonly #sink: Sink;
  #queue: Waiting[] = [];
  #received = 0;
  #taken = 0;
  #allowed: number;
  #busy = false;
  #ended = false;
  #closed = false;

  constructor(window: number, sink: Sink) {
    this.#window = window;
    this.#sink = sink;
    this.#allowed = window;
  }

  /** Takes a message in. @returns false when it is more than was allowed. */
  take(wire: Wire, bytes: number): boolean {
    if (this.#closed || this.#ended) return true;
    if (this.#received >= this.#allowed) return false;
    const cost = bytes + MESSAGE_BYTES;
    this.#received += cost;
    if (this.#busy) {
      this.#queue.push({ wire, cost });
      return true;
    }
    const more = this.#sink.write(wire);
    if (more === true) this.#took(cost);
    else if (more === false) this.close();
    else void this.#handOn(more, cost);
    return true;
  }

  /** Nothing comes any more: told to the sink behind all that has come. */
  end(): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    if (!this.#busy) this.#sink.finish();
  }

  /** Throws away what waits. */
  close(): void {
    this.#closed = true;
    this.#queue = [];
  }

  async #handOn(first: Promise<boolean>, cost: number): Promise<void> {
    this.#busy = true;
    let open = await first;
    this.#took(cost);
    let at = 0;
    while (open && !this.#closed && at < this.#queue.length) {
      const next = this.#queue[at++]!;
      const more = this.#sink.write(next.wire);
      open = typeof more === "boolean" ? more : await more;
      this.#took(next.cost);
      // What was handed on is let go of now and then, not each time: that would move all that waits.
      if (at === 64) {
        this.#queue.splice(0, at);
        at = 0;
      }
    }
    this.#queue.splice(0, at);
    this.#busy = false;
    if (!open) this.close();
    else if (this.#ended && !this.#closed) this.#sink.finish();
  }

  #took(cost: number): void {
    this.#taken += cost;
    const limit = this.#taken + this.#window;
    if (this.#closed || this.#ended || limit - this.#allowed < this.#window / 2) return;
    this.#allowed = limit;
    this.#sink.allow(limit);
  }
}
