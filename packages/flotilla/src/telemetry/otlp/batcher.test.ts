import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { Exporter } from "../model.ts";
import { type BatcherOptions, batcher, type DropReason } from "./batcher.ts";

/** An exporter whose exports end when the test says so. */
class Gate implements Exporter<number> {
  readonly batches: number[][] = [];
  readonly signals: AbortSignal[] = [];
  closed = 0;
  open = true;
  fails = false;
  underWay = 0;
  #ends: (() => void)[] = [];

  async export(batch: readonly number[], signal: AbortSignal): Promise<void> {
    assert.equal(++this.underWay, 1, "one export at a time");
    this.batches.push([...batch]);
    this.signals.push(signal);
    if (!this.open) {
      await new Promise<void>((resolve) => {
        this.#ends.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    this.underWay--;
    if (this.fails || signal.aborted) throw new Error("the collector is gone");
  }

  release(): void {
    const ends = this.#ends;
    this.#ends = [];
    for (const end of ends) end();
  }

  async close(): Promise<void> {
    this.closed++;
  }
}

function bed(options: Partial<BatcherOptions<number>> = {}) {
  const clock = new VirtualClock();
  const gate = new Gate();
  const drops: [number, DropReason][] = [];
  const queue = batcher<number>({
    exporter: gate,
    clock,
    onDrop: (lost, reason) => drops.push([lost, reason]),
    ...options,
  });
  return { clock, gate, drops, queue };
}
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

test("exports after the delay of the oldest item, or at once when a batch is full", async () => {
  const { clock, gate, queue } = bed();
  queue.add(1);
  await clock.advance(3000);
  queue.add(2);
  await clock.advance(1999);
  assert.deepEqual(gate.batches, []);
  await clock.advance(1);
  assert.deepEqual(gate.batches, [[1, 2]]);
  for (const n of range(0, 512)) queue.add(n);
  assert.equal(gate.batches.length, 1, "not by the one who adds");
  await clock.advance(0);
  assert.deepEqual(gate.batches[1], range(0, 512));
  assert.equal(clock.pending, 0);
  assert.equal(queue.counters.processed, 514);
});

test("drops the newest when full, counts and tells of it once a batch", async () => {
  const { clock, gate, drops, queue } = bed({ maxQueue: 10, maxBatch: 4 });
  gate.open = false;
  for (const n of range(0, 4)) queue.add(n);
  await clock.advance(0);
  assert.equal(gate.underWay, 1);
  const taken = range(4, 20).map((n) => queue.add(n));
  assert.deepEqual(
    taken,
    range(4, 20).map((n) => n < 14),
  );
  const { counters } = queue;
  assert.deepEqual([counters.queueSize, counters.queueCapacity, counters.droppedQueueFull], [10, 10, 6]);
  assert.deepEqual(drops, []);
  gate.open = true;
  gate.release();
  await clock.advance(0);
  assert.deepEqual(drops, [[6, "queue_full"]]);
  assert.deepEqual(gate.batches.slice(1), [range(4, 8), range(8, 12)]);
  // Two are no full batch: they wait as if they had just come.
  await clock.advance(5000);
  assert.deepEqual(gate.batches[3], [12, 13]);
});

test("a failed export costs its batch; the next one is sent", async () => {
  const { clock, gate, drops, queue } = bed({ maxBatch: 2, maxQueue: 4 });
  gate.fails = true;
  queue.add(1);
  queue.add(2);
  await clock.advance(0);
  gate.fails = false;
  queue.add(3);
  assert.equal(await queue.flush(), true);
  assert.deepEqual(gate.batches, [[1, 2], [3]]);
  assert.deepEqual(drops, [[2, "export_failed"]]);
  assert.equal(queue.counters.failed, 2);
});

test("an export that takes too long is aborted", async () => {
  const { clock, gate, drops, queue } = bed({ maxBatch: 1, exportTimeoutMs: 1000 });
  gate.open = false;
  queue.add(1);
  await clock.advance(999);
  assert.deepEqual(drops, []);
  await clock.advance(1);
  assert.deepEqual(drops, [[1, "export_failed"]]);
});

test("flush waits for what was added before it, and no longer than it may", async () => {
  const { clock, gate, queue } = bed({ maxBatch: 2, maxQueue: 8 });
  assert.equal(await queue.flush(), true, "nothing to do");
  gate.open = false;
  for (const n of [1, 2, 3]) queue.add(n);
  const first = queue.flush(1000);
  const second = queue.flush(60_000);
  await clock.advance(1000);
  assert.equal(await first, false);
  queue.add(4);
  gate.release();
  await clock.advance(0);
  assert.deepEqual(gate.batches, [
    [1, 2],
    [3, 4],
  ]);
  gate.release();
  assert.equal(await second, true);
  assert.equal(clock.pending, 0);
});

test("close sends what waits; then everything is dropped and counted", async () => {
  const { clock, gate, drops, queue } = bed();
  queue.add(1);
  await Promise.all([queue.close(), queue.close()]);
  assert.deepEqual(gate.batches, [[1]]);
  assert.equal(gate.closed, 1);
  assert.equal(queue.add(2), false);
  assert.equal(queue.counters.droppedClosed, 1);
  assert.deepEqual(drops, []);
  assert.equal(clock.pending, 0);
});

test("close gives up on an exporter that hangs", async () => {
  const { clock, gate, drops, queue } = bed({ maxBatch: 2, maxQueue: 8 });
  gate.open = false;
  for (const n of range(0, 5)) queue.add(n);
  const closed = queue.close(100);
  await clock.advance(100);
  await closed;
  assert.equal(gate.signals[0]?.aborted, true);
  assert.deepEqual(drops, [
    [3, "closed"],
    [2, "export_failed"],
  ]);
  assert.equal(queue.counters.droppedClosed, 3);
  assert.equal(clock.pending, 0);
});

test("whatever is added, in whatever order: every item is exported once, in order, or counted", async () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ add: fc.integer({ min: 1, max: 12 }) }),
      fc.record({ wait: fc.constantFrom(0, 10, 100) }),
      fc.record({ open: fc.boolean() }),
      fc.record({ fails: fc.boolean() }),
      fc.constant({ flush: true }),
    ),
    { maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), async (plan, a, b) => {
      const { clock, gate, queue, drops } = bed({ maxQueue: Math.max(a, b), maxBatch: Math.min(a, b), delayMs: 50 });
      let next = 0;
      const taken: number[] = [];
      for (const step of plan) {
        if ("add" in step) for (let i = 0; i < step.add; i++) if (queue.add(next++)) taken.push(next - 1);
        if ("wait" in step) await clock.advance(step.wait);
        if ("open" in step) {
          gate.open = step.open;
          gate.release();
        }
        if ("fails" in step) gate.fails = step.fails;
        if ("flush" in step) void queue.flush(20);
      }
      gate.open = true;
      gate.release();
      const closed = queue.close();
      await clock.advance(5000);
      await closed;
      assert.deepEqual(gate.batches.flat(), taken);
      assert.equal(queue.counters.processed, taken.length);
      assert.equal(queue.counters.droppedQueueFull, next - taken.length);
      const lost = drops.filter(([, reason]) => reason === "queue_full").reduce((sum, [count]) => sum + count, 0);
      assert.equal(lost, next - taken.length);
      assert.equal(clock.pending, 0);
    }),
    { numRuns: 60 },
  );
});

test("options that are not legal are named", () => {
  const exporter = new Gate();
  for (const [options, name] of [
    [{ maxQueue: 0 }, "maxQueue"],
    [{ maxQueue: 10, maxBatch: 11 }, "maxBatch"],
    [{ maxBatch: 0.5 }, "maxBatch"],
    [{ delayMs: -1 }, "delayMs"],
    [{ exportTimeoutMs: Number.NaN }, "exportTimeoutMs"],
  ] as const) {
    assert.throws(() => batcher({ exporter, ...options }), new RegExp(`batcher: ${name} `));
  }
});
