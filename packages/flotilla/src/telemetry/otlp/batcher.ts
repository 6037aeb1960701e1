import type { Clock, Timer } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";
import type { Exporter } from "../model.ts";

/** Why items were lost: the queue was full, the batcher closed, or the exporter gave their batch up. */
export type DropReason = "queue_full" | "closed" | "export_failed";

/** Options of {@link batcher}. Defaults are those of OpenTelemetry's batch span processor. */
export interface BatcherOptions<T> {
  readonly exporter: Exporter<T>;
  /** Items that may wait. 1 or more. Default 2048. What comes when it is full is dropped. */
  readonly maxQueue?: number;
  /** Items of one export. 1 to `maxQueue`. Default 512, or `maxQueue` where that is less. */
  readonly maxBatch?: number;
  /** How long an item may wait for its batch to fill, milliseconds. 0 or more. Default 5000. */
  readonly delayMs?: number;
  /** After this one export is aborted, milliseconds. More than 0. Default 30000. */
  readonly exportTimeoutMs?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Told of losses, never more often than once a batch. */
  onDrop?(lost: number, reason: DropReason): void;
}

/** Counters since the start, and two gauges. For `otel.sdk.processor.*` of the semantic conventions. */
export interface BatcherCounters {
  /** `otel.sdk.processor.span.queue.size`, `…log.queue.size`. */
  readonly queueSize: number;
  /** `otel.sdk.processor.span.queue.capacity`, `…log.queue.capacity`. */
  readonly queueCapacity: number;
  /** `otel.sdk.processor.span.processed` without `error.type`: handed to the exporter, whatever came of it. */
  readonly processed: number;
  /** The same with `error.type` `queue_full`. */
  readonly droppedQueueFull: number;
  /** The same with `error.type` `already_shutdown`: added after `close`, or still waiting when its time was over. */
  readonly droppedClosed: number;
  /** Items of batches that the exporter gave up. The exporter's own counters say why. */
  readonly failed: number;
}

/** Collects items and exports them in batches, one at a time. */
export interface Batcher<T> {
  /** Takes an item, in constant time and without allocating. @returns false when it was dropped. */
  add(item: T): boolean;
  /**
   * Exports what has been added so far without waiting for full batches.
   *
   * @param timeoutMs - milliseconds. Default 30000.
   * @returns whether all of it had been handed over in time. Never rejects.
   */
  flush(timeoutMs?: number): Promise<boolean>;
  /**
   * Flushes, aborts what is under way when `timeoutMs` (default 5000) are over, counts what remains as dropped, and closes the exporter. Items
   * added from now on are dropped. Never rejects. Called again, it waits for the same end.
   */
  close(timeoutMs?: number): Promise<void>;
  /** A live view. */
  readonly counters: BatcherCounters;
}

/**
 * Makes a batcher: a ring buffer before an exporter (OpenTelemetry specification, Trace SDK, "Batching processor"). An
 * exporter that fails costs its batch, an exporter that hangs costs what no longer fits into the queue; neither is felt by who adds.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function batcher<T>(options: BatcherOptions<T>): Batcher<T> {
  return new RingBatcher(options);
}

interface Waiter {
  /** How many items must have been handed over. */
  readonly upTo: number;
  readonly done: () => void;
}

class RingBatcher<T> implements Batcher<T>, BatcherCounters {
  readonly #options: BatcherOptions<T>;
  readonly #clock: Clock;
  readonly #maxBatch: number;
  readonly #delayMs: number;
  readonly #exportTimeoutMs: number;
  readonly #ring: (T | undefined)[];
  /** Where the oldest item is. */
  #head = 0;
  #size = 0;
  /** At this size `add` has something to start: 1 when nothing is planned, a full batch while waiting, never while exporting. */
  #wakeAt = 1;
  #timer: Timer | undefined;
  #running = false;
  #closing: Promise<void> | undefined;
  #abort: AbortController | undefined;
  #settled = 0;
  #flushUpTo = 0;
  #waiters: Waiter[] = [];
  #unreported = 0;
  processed = 0;
  droppedQueueFull = 0;
  droppedClosed = 0;
  failed = 0;

  constructor(options: BatcherOptions<T>) {
    const { maxQueue = 2048, delayMs = 5000, exportTimeoutMs = 30_000, clock = systemClock } = options;
    const { maxBatch = Math.min(512, maxQueue) } = options;
    if (!(Number.isInteger(maxQueue) && maxQueue >= 1 && maxQueue <= 2 ** 24))
      throw new RangeError(`batcher: maxQueue must be a whole number from 1 to 2^24, got ${maxQueue}`);
    if (!(Number.isInteger(maxBatch) && maxBatch >= 1 && maxBatch <= maxQueue))
      throw new RangeError(
        `batcher: maxBatch must be a whole number from 1 to maxQueue (${maxQueue}), got ${maxBatch}`,
      );
    if (!(delayMs >= 0)) throw new RangeError(`batcher: delayMs must be 0 or more, got ${delayMs}`);
    if (!(exportTimeoutMs > 0))
      throw new RangeError(`batcher: exportTimeoutMs must be more than 0, got ${exportTimeoutMs}`);
    this.#options = options;
    this.#clock = clock;
    this.#maxBatch = maxBatch;
    this.#delayMs = delayMs;
    this.#exportTimeoutMs = exportTimeoutMs;
    this.#ring = Array.from({ length: maxQueue }, () => undefined);
  }

  get counters(): BatcherCounters {
    return this;
  }

  get queueSize(): number {
    return this.#size;
  }

  get queueCapacity(): number {
    return this.#ring.length;
  }

  add(item: T): boolean {
    const ring = this.#ring;
    const size = this.#size;
    if (size === ring.length || this.#closing !== undefined) return this.#refuse();
    let at = this.#head + size;
    if (at >= ring.length) at -= ring.length;
    ring[at] = item;
    this.#size = size + 1;
    if (size + 1 >= this.#wakeAt) this.#wake();
    return true;
  }

  #refuse(): false {
    if (this.#closing !== undefined) this.droppedClosed++;
    else {
      this.droppedQueueFull++;
      this.#unreported++;
    }
    return false;
  }

  /** Plans the next export: at once for a full batch, else when the oldest item has waited long enough. */
  #wake(): void {
    const full = this.#size >= this.#maxBatch;
    this.#timer?.cancel();
    this.#wakeAt = full ? Infinity : this.#maxBatch;
    // Even a full batch is not exported by the request that filled it.
    this.#timer = this.#clock.schedule(full ? 0 : this.#delayMs, () => void this.#run());
    this.#timer.unref();
  }

  /** Exports at least one batch, and as many more as are full or being flushed. Never rejects. */
  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#wakeAt = Infinity;
    do {
      if (this.#size > 0) await this.#exportBatch();
    } while (this.#size > 0 && (this.#size >= this.#maxBatch || this.#flushUpTo > this.#settled));
    this.#running = false;
    this.#wakeAt = 1;
    if (this.#size > 0) this.#wake();
  }

  async #exportBatch(): Promise<void> {
    const batch = this.#take();
    this.processed += batch.length;
    const abort = new AbortController();
    const timer = this.#clock.schedule(this.#exportTimeoutMs, () => abort.abort());
    timer.unref();
    this.#abort = abort;
    try {
      await this.#options.exporter.export(batch, abort.signal);
    } catch {
      this.failed += batch.length;
      this.#report(batch.length, "export_failed");
    }
    timer.cancel();
    this.#abort = undefined;
    this.#settle(batch.length);
  }

  #take(): T[] {
    const ring = this.#ring;
    const count = Math.min(this.#size, this.#maxBatch);
    const batch: T[] = [];
    let at = this.#head;
    for (let i = 0; i < count; i++) {
      batch.push(ring[at]!);
      ring[at] = undefined;
      if (++at === ring.length) at = 0;
    }
    this.#head = at;
    this.#size -= count;
    if (this.#unreported > 0) {
      this.#report(this.#unreported, "queue_full");
      this.#unreported = 0;
    }
    return batch;
  }

  #settle(count: number): void {
    this.#settled += count;
    const waiting = this.#waiters;
    if (waiting.length === 0) return;
    this.#waiters = waiting.filter(({ upTo }) => upTo > this.#settled);
    for (const { upTo, done } of waiting) if (upTo <= this.#settled) done();
  }

  flush(timeoutMs = 30_000): Promise<boolean> {
    const upTo = this.processed + this.#size;
    if (upTo <= this.#settled) return Promise.resolve(true);
    this.#flushUpTo = Math.max(this.#flushUpTo, upTo);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        upTo,
        done: () => {
          timer.cancel();
          resolve(true);
        },
      };
      const timer = this.#clock.schedule(timeoutMs, () => {
        this.#waiters = this.#waiters.filter((each) => each !== waiter);
        resolve(false);
      });
      this.#waiters.push(waiter);
      void this.#run();
    });
  }

  close(timeoutMs = 5000): Promise<void> {
    this.#closing ??= this.#end(timeoutMs);
    return this.#closing;
  }

  async #end(timeoutMs: number): Promise<void> {
    await this.flush(timeoutMs);
    const left = this.#size;
    this.#size = 0;
    this.#ring.fill(undefined);
    this.droppedClosed += left;
    if (left > 0) this.#report(left, "closed");
    if (this.#unreported > 0) this.#report(this.#unreported, "queue_full");
    this.#abort?.abort();
    this.#timer?.cancel();
    try {
      await this.#options.exporter.close();
    } catch {
      // Nothing is left that it could lose.
    }
  }

  #report(lost: number, reason: DropReason): void {
    try {
      this.#options.onDrop?.(lost, reason);
    } catch {
      // Who watches must not stop the export.
    }
  }
}
