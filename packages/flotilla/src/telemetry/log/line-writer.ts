import type { Clock, Timer } from "../../clock/clock.ts";
import { within } from "../../clock/within.ts";
import { type Descriptor, mayRecover, openDescriptor } from "./descriptor.ts";
import { LineQueue, PORTION } from "./line-queue.ts";
import { type LineWriterCounters, type LineWriterOptions, settle } from "./line-writer-options.ts";
import { onProcessEnd } from "./process-end.ts";

/** The wait for a full pipe: doubles while it takes nothing. */
const FIRST_WAIT_MS = 1;
const LAST_WAIT_MS = 50;

/** Waiting: for a full pipe or disk, until a timer says to try again. Writing: in the thread pool. Broken: failed for good. */
type State = "idle" | "waiting" | "writing" | "broken";

/**
 * Writes lines to a file descriptor without holding up the event loop, and holds no more than `maxBytes` of them.
 *
 * To a pipe, socket or terminal it writes by non-blocking writes of the event loop's own thread: that is cheaper than the thread pool, and what
 * has been written is known at any moment, so that nothing is lost or told twice at exit. To a file it writes by the thread pool, one write
 * at a time; where it has no room left, or no time, what waits overtakes the write in progress.
 *
 * When nobody reads, new lines are dropped, and one line tells how many as soon as there is room again. What waits is written when the
 * process exits; a process that is killed (SIGKILL) loses what it held: at most 5 ms' worth when somebody reads.
 */
export class LineWriter {
  readonly #to: Descriptor;
  readonly #clock: Clock;
  readonly #queue: LineQueue;
  readonly #flushMs: number;
  readonly #patienceMs: number;
  readonly #report: ((lines: number) => string) | undefined;
  readonly #onError: ((error: Error) => void) | undefined;
  #state: State = "idle";
  #timer: Timer | undefined;
  #waitMs = FIRST_WAIT_MS;
  #triedMs = Number.NEGATIVE_INFINITY;
  #lastCode: string | undefined = "EAGAIN";
  #accepted = 0;
  #written = 0;
  #dropped = 0;
  /** Dropped, and not told yet. */
  #untold = 0;
  #closed = false;
  #closing: Promise<void> | undefined;
  readonly #waiters: { readonly at: number; readonly resolve: () => void }[] = [];
  readonly #forget: () => void;

  /** @throws RangeError when an option is not legal, naming it. */
  constructor(options: LineWriterOptions = {}) {
    const { fd, maxBytes, flushMs, patienceMs, clock } = settle(options);
    this.#to = typeof fd === "number" ? openDescriptor(fd) : fd;
    this.#clock = clock;
    this.#queue = new LineQueue(maxBytes);
    this.#flushMs = flushMs;
    this.#patienceMs = patienceMs;
    this.#report = options.reportDropped;
    this.#onError = options.onError;
    this.#forget = onProcessEnd({
      exit: () => {
        // What other listeners log after this one is written at once.
        this.#closed = true;
        this.flushSync();
      },
    });
  }

  get counters(): LineWriterCounters {
    const waitingBytes = this.#state === "broken" ? 0 : this.#queue.max - this.#queue.room;
    return { written: this.#written, dropped: this.#dropped, waitingBytes };
  }

  /** Takes a line, its newline included. Never throws. */
  write(line: string): void {
    const queue = this.#queue;
    if (line.length > queue.room && !this.#makeRoom(line.length)) {
      this.#dropped++;
      this.#untold++;
      return;
    }
    queue.add(line);
    this.#accepted++;
    if (queue.tail.length >= PORTION) this.#full();
    else if (this.#timer === undefined && this.#state !== "writing") this.#arm(this.#flushMs);
  }

  /** Resolves when all lines given so far are written or lost. */
  flush(): Promise<void> {
    if (this.#state === "idle") this.#pump();
    if (this.#queue.isEmpty) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ at: this.#accepted, resolve }));
  }

  /** Writes all that waits before it returns, unless the reader takes nothing for `patienceMs`: then what is left is lost, and counted. */
  flushSync(): void {
    if (this.#state === "broken") return;
    this.#stopTimer();
    if (this.#state === "writing") {
      if (this.#to.kind === "file") this.#overtake();
      // The write that hangs would hang here too.
      else this.#giveUp();
      return this.#wake();
    }
    let waitedMs = 0;
    let pauseMs = FIRST_WAIT_MS;
    while (!this.#queue.isEmpty || this.#tell()) {
      const before = this.#queue.room;
      const outcome = this.#writeOnce();
      if (outcome === "broken") break;
      if (this.#queue.room > before) {
        waitedMs = 0;
        pauseMs = FIRST_WAIT_MS;
      }
      if (outcome === "idle") continue;
      if (waitedMs >= this.#patienceMs) this.#giveUp();
      this.#to.pause(pauseMs);
      waitedMs += pauseMs;
      pauseMs = Math.min(pauseMs * 2, LAST_WAIT_MS);
    }
    if (this.#state === "waiting") this.#state = "idle";
    this.#wake();
  }

  #giveUp(): void {
    const lost = this.#queue.clear();
    this.#dropped += lost;
    const why = this.#lastCode === "EAGAIN" ? "nobody reads them" : `they could not be written: ${this.#lastCode}`;
    if (lost + this.#untold > 0) this.#onError?.(new Error(`${lost + this.#untold} lines are lost: ${why}`));
    this.#untold = 0;
  }

  /** Writes what follows the portion that the thread pool is writing, which it will finish also when the process ends. */
  #overtake(): void {
    const writing = this.#queue.setAside();
    let outcome: State = "idle";
    while (outcome === "idle" && (!this.#queue.isEmpty || this.#tell())) outcome = this.#writeOnce();
    if (writing !== undefined && outcome !== "broken") this.#queue.putBack(writing);
  }

  /** Writes what waits and lets go of the process. Lines that come later are written at once. The descriptor stays open. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const flushed = this.flush();
    for (let before = Number.NaN; before !== this.#queue.room; ) {
      before = this.#queue.room;
      if (await within(this.#clock, this.#patienceMs, flushed)) break;
    }
    this.#closed = true;
    this.#forget();
    this.#stopTimer();
    if (this.#state !== "writing") this.flushSync();
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(delayMs: number): void {
    if (this.#closed) {
      // Nobody may be left to run a timer for.
      if (this.#state === "idle") this.flushSync();
      return;
    }
    this.#timer = this.#clock.schedule(delayMs, () => {
      this.#timer = undefined;
      if (this.#state !== "writing") this.#pump();
    });
    this.#timer.unref();
  }

  /** The tail has grown to a portion. */
  #full(): void {
    if (this.#state === "idle") {
      this.#stopTimer();
      return this.#pump();
    }
    this.#queue.seal();
    // A loop that logs without end gives timers no turn.
    if (this.#state === "waiting" && this.#isDue()) this.#pump();
  }

  #makeRoom(length: number): boolean {
    if (this.#state === "broken" || length > this.#queue.max) return false;
    if (this.#state !== "writing") {
      if (this.#isDue()) this.#pump();
    } else if (this.#to.kind === "file") {
      // A loop that logs without end lets no write of the thread pool come to its end.
      this.#overtake();
    }
    return this.#queue.room >= length;
  }

  #isDue(): boolean {
    return this.#clock.now() - this.#triedMs >= FIRST_WAIT_MS;
  }

  /** Writes as much as the descriptor takes. */
  #pump(): void {
    if (this.#to.kind !== "prompt") return this.#toPool();
    let outcome: State = "idle";
    while (outcome === "idle" && !this.#queue.isEmpty) {
      const before = this.#queue.room;
      outcome = this.#writeOnce();
      if (this.#queue.room > before) this.#waitMs = FIRST_WAIT_MS;
    }
    this.#wake();
    if (outcome === "broken") return;
    this.#state = outcome;
    if (outcome === "waiting") this.#retry();
  }

  #retry(): void {
    this.#triedMs = this.#clock.now();
    const delayMs = this.#waitMs;
    this.#waitMs = Math.min(2 * delayMs, LAST_WAIT_MS);
    this.#stopTimer();
    this.#arm(delayMs);
  }

  #toPool(): void {
    const portion = this.#queue.next();
    if (portion === undefined) return void (this.#state = "idle");
    this.#state = "writing";
    const { bytes, start, end } = portion;
    this.#to.write(bytes, start, end - start, (error, written) => {
      this.#state = "idle";
      const outcome = error === null ? "idle" : this.#failed(error);
      if (outcome === "broken") return;
      if (error === null) {
        this.#waitMs = FIRST_WAIT_MS;
        this.#written += this.#queue.took(portion, written);
        this.#tellEarly();
      }
      this.#wake();
      if (outcome === "waiting") {
        this.#state = "waiting";
        this.#retry();
      } else if (this.#waiters.length > 0 || this.#queue.lines > 0) this.#toPool();
    });
  }

  /** One write of the oldest portion, by this thread. */
  #writeOnce(): "idle" | "waiting" | "broken" {
    const portion = this.#queue.nextAtOnce();
    if (portion === undefined) return "idle";
    try {
      const { bytes, start, end } = portion;
      this.#written += this.#queue.took(portion, this.#to.writeSync(bytes, start, end - start));
    } catch (error) {
      this.#queue.took(portion, 0);
      return this.#failed(error as NodeJS.ErrnoException);
    }
    this.#tellEarly();
    return "idle";
  }

  #failed(error: NodeJS.ErrnoException): "idle" | "waiting" | "broken" {
    if (error.code === "EINTR") return "idle";
    this.#lastCode = error.code;
    if (mayRecover(error)) return "waiting";
    this.#state = "broken";
    this.#stopTimer();
    this.#dropped += this.#queue.clear();
    // No line fits any more.
    this.#queue.room = Number.NEGATIVE_INFINITY;
    this.#wake();
    this.#onError?.(error);
    return "broken";
  }

  #tellEarly(): void {
    if (this.#untold > 0 && this.#queue.room > this.#queue.max / 2) this.#tell();
  }

  /** Adds the line that tells of those that were dropped. @returns whether there was one to add. */
  #tell(): boolean {
    if (this.#untold === 0) return false;
    const line = this.#report?.(this.#untold);
    this.#untold = 0;
    if (line === undefined) return false;
    this.#queue.add(line);
    this.#accepted++;
    return true;
  }

  #wake(): void {
    if (this.#waiters.length === 0) return;
    const settled = this.#accepted - this.#queue.lines;
    while (this.#waiters.length > 0 && this.#waiters[0]!.at <= settled) this.#waiters.shift()!.resolve();
  }
}
