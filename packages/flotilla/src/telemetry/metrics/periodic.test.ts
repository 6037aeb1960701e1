import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import type { MetricData } from "../model.ts";
import { type MetricSender, periodic } from "./periodic.ts";
import { createMeterProvider } from "./provider.ts";

/** Keeps what it is sent; while `dead` it takes nothing until it is aborted. */
class Collector implements MetricSender {
  readonly #clock: VirtualClock;
  readonly taken: (readonly MetricData[])[] = [];
  readonly abortedMs: number[] = [];
  dead = false;
  closes = 0;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  send(data: readonly MetricData[], signal: AbortSignal): Promise<void> {
    if (!this.dead) {
      this.taken.push(data);
      return Promise.resolve();
    }
    return new Promise((_, reject) => {
      const onAbort = (): void => {
        this.abortedMs.push(this.#clock.now());
        reject(new Error("aborted"));
      };
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort);
    });
  }

  close(): Promise<void> {
    this.closes++;
    return Promise.resolve();
  }
}

function bed(timeoutMs = 30_000) {
  const clock = new VirtualClock();
  const provider = createMeterProvider({ clock });
  const meter = provider.getMeter("test");
  meter.createCounter("made").add(1);
  const collector = new Collector(clock);
  const sender = periodic([collector], provider, { intervalMs: 60_000, timeoutMs }, clock);
  return { clock, meter, collector, sender };
}

test("sends at each interval and once more at the end, which a second close waits for", async () => {
  const { clock, collector, sender } = bed();
  for (let i = 0; i < 3; i++) await clock.advance(60_000);
  assert.equal(collector.taken.length, 3);
  await Promise.all([sender.close(5000), sender.close(5000)]);
  assert.deepEqual([collector.taken.length, collector.closes], [4, 1]);
  await clock.advance(600_000);
  assert.equal(collector.taken.length, 4, "nothing is sent afterwards");
});

test("one export is aborted after its time, and the next goes on as planned", async () => {
  const { clock, collector } = bed(1000);
  collector.dead = true;
  await clock.advance(61_000);
  assert.deepEqual(collector.abortedMs, [clock.now()]);
  collector.dead = false;
  await clock.advance(60_000);
  assert.equal(collector.taken.length, 1);
});

test("a dead collector holds the end no longer than it may take, the export under way included", async () => {
  const { clock, collector, sender } = bed();
  collector.dead = true;
  await clock.advance(60_000);
  const from = clock.now();
  let over = false;
  const closing = sender.close(5000).then(() => {
    over = true;
  });
  await clock.advance(4999);
  assert.equal(over, false);
  await clock.advance(1);
  await closing;
  assert.deepEqual(
    collector.abortedMs.map((ms) => ms - from),
    [2500, 5000],
    "the first has half of the time",
  );
  assert.equal(collector.closes, 1);
});

test("a callback that hangs costs half of the time, and what the others say is sent", async () => {
  const { clock, meter, collector, sender } = bed();
  meter.createObservableGauge("stuck").addCallback(() => new Promise(() => {}));
  const closing = sender.close(4000);
  await clock.advance(2000);
  await closing;
  assert.deepEqual(
    collector.taken.map((data) => data.map(({ name }) => name)),
    [["made"]],
  );
});
