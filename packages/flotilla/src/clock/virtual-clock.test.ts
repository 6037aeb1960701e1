import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import type { Timer } from "./clock.ts";
import { VirtualClock } from "./virtual-clock.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

describe("VirtualClock", () => {
  test("stands still until told to advance; epoch goes along", async () => {
    const clock = new VirtualClock({ epochMs: 1_000 });
    assert.deepEqual([clock.now(), clock.epoch()], [0, 1_000]);
    await clock.advance(2.5);
    assert.deepEqual([clock.now(), clock.epoch()], [2.5, 1_002.5]);
    assert.equal(new Date(new VirtualClock().epoch()).toISOString(), "2000-01-01T00:00:00.000Z");
  });

  test("runs timers in order of time, then of creation, each at the time it was due", async () => {
    const delays = fc.array(fc.integer({ min: -2, max: 20 }), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(delays, fc.array(fc.nat({ max: 7 }), { maxLength: 5 }), async (delays, steps) => {
        const clock = new VirtualClock();
        const ran: { at: number; order: number }[] = [];
        delays.forEach((delay, order) => {
          clock.schedule(delay, () => ran.push({ at: clock.now(), order }));
        });
        for (const step of steps) await clock.advance(step);
        const end = clock.now();
        const due = delays.map((delay, order) => ({ at: Math.max(0, delay), order })).sort((a, b) => a.at - b.at);
        assert.deepEqual(ran, steps.length === 0 ? [] : due.filter(({ at }) => at <= end));
        assert.equal(clock.pending, delays.length - ran.length);
      }),
    );
  });

  test("what is cancelled never runs, in whatever order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat({ max: 9 }), fc.boolean()), { maxLength: 200 }), async (timers) => {
        const clock = new VirtualClock();
        const ran = new Set<number>();
        const made = timers.map(([delay], i) => clock.schedule(delay, () => ran.add(i)));
        timers.forEach(([, cancel], i) => {
          if (cancel) made[i]!.cancel();
        });
        assert.equal(clock.pending, timers.filter(([, cancel]) => !cancel).length);
        await clock.advance(10);
        timers.forEach(([, cancel], i) => {
          assert.equal(ran.has(i), !cancel);
        });
        assert.equal(clock.pending, 0);
      }),
    );
  });

  test("cancel is safe twice and after the run", async () => {
    const clock = new VirtualClock();
    const timer = clock.schedule(1, () => {});
    timer.unref();
    timer.cancel();
    timer.cancel();
    assert.equal(clock.pending, 0);
    const ran = clock.schedule(1, () => {});
    await clock.advance(1);
    ran.cancel();
    assert.equal(clock.pending, 0);
  });

  test("advance runs what callbacks schedule, if it falls due on the way", async () => {
    const clock = new VirtualClock();
    const times: number[] = [];
    const again = (): void => {
      times.push(clock.now());
      clock.schedule(10, again);
    };
    clock.schedule(10, again);
    await clock.advance(35);
    assert.deepEqual(times, [10, 20, 30]);
    assert.equal(clock.now(), 35);
    assert.equal(clock.pending, 1);
  });

  test("a callback may cancel what is due at the same time", async () => {
    const clock = new VirtualClock();
    clock.schedule(5, () => second.cancel());
    const second: Timer = clock.schedule(5, () => assert.fail("cancelled, yet run"));
    await clock.advance(5);
  });

  test("promises settled by a callback have run before the next timer", async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    clock.schedule(1, () => {
      void Promise.resolve()
        .then(() => Promise.resolve())
        .then(() => log.push(`reaction at ${clock.now()}`));
    });
    clock.schedule(2, () => log.push("second timer"));
    await clock.advance(2);
    assert.deepEqual(log, ["reaction at 1", "second timer"]);
  });

  test("promises already settled have run before time moves", async () => {
    const clock = new VirtualClock();
    let ran = false;
    void Promise.resolve().then(() => {
      clock.schedule(3, () => {
        ran = true;
      });
    });
    await clock.advance(3);
    assert.equal(ran, true);
  });

  test("runNext jumps to the next timer, false when none is left", async () => {
    const clock = new VirtualClock();
    const cancelled = clock.schedule(10, () => assert.fail());
    clock.schedule(1_000, () => {});
    cancelled.cancel();
    assert.equal(await clock.runNext(), true);
    assert.equal(clock.now(), 1_000);
    assert.equal(await clock.runNext(), false);
  });

  test("never goes backwards, not even when two advance at once", async () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    for (let at = 1; at <= 10; at++) clock.schedule(at, () => seen.push(clock.now()));
    await Promise.all([clock.advance(10), clock.advance(5)]);
    assert.equal(clock.now(), 10);
    assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test("refuses to advance by what is no time", async () => {
    const clock = new VirtualClock();
    for (const ms of [-1, NaN, Infinity]) await assert.rejects(clock.advance(ms), RangeError);
    assert.equal(clock.now(), 0);
  });

  test("a delay that is no number counts as 0, one of Infinity never comes", async () => {
    const clock = new VirtualClock();
    const ran: string[] = [];
    clock.schedule(Infinity, () => ran.push("infinity"));
    clock.schedule(NaN, () => ran.push("nan"));
    await clock.advance(1e9);
    assert.deepEqual(ran, ["nan"]);
    assert.equal(await clock.runNext(), false);
  });

  test("a callback that throws fails the advance, and the clock goes on from there", async () => {
    const clock = new VirtualClock();
    let ran = false;
    clock.schedule(1, () => {
      throw new Error("from the callback");
    });
    clock.schedule(2, () => {
      ran = true;
    });
    await assert.rejects(clock.advance(5), /from the callback/);
    assert.equal(clock.now(), 1);
    await clock.advance(1);
    assert.equal(ran, true);
  });

  test("run does what advance does, promises of any depth before the next timer included", async () => {
    const trace = async (move: (clock: VirtualClock) => Promise<void>): Promise<string[]> => {
      const clock = new VirtualClock();
      const ran: string[] = [];
      const worker = async (name: string, gap: number): Promise<void> => {
        for (let i = 0; i < 50; i++) {
          await new Promise<void>((resolve) => void clock.schedule(gap, resolve));
          for (let hop = 0; hop < i; hop++) await Promise.resolve();
          ran.push(`${name} ${i} ${clock.now()}`);
        }
      };
      void Promise.all([worker("a", 3), worker("b", 2), worker("c", 6)]);
      await move(clock);
      assert.equal(clock.now(), 200);
      return ran;
    };
    const fast = await trace((clock) => clock.run(200));
    assert.deepEqual(fast, await trace((clock) => clock.advance(200)));
    assert.ok(fast.length > 100);
  });

  test("run gives the event loop a turn now and then, and tells of it", async () => {
    const clock = new VirtualClock();
    let turned = false;
    let turns = 0;
    setImmediate(() => setImmediate(() => (turned = true)));
    const again = (): void => void (turned || clock.schedule(1, again));
    again();
    await clock.run(1e9, () => turns++);
    assert.ok(turned && turns >= 1);
    again();
  });

  test("run ends with what a callback or the turn throws, and refuses what is no time", async () => {
    const clock = new VirtualClock();
    clock.schedule(1, () => {
      throw new Error("from the callback");
    });
    await assert.rejects(clock.run(5), /from the callback/);
    assert.equal(clock.now(), 1);
    const again = (): void => void clock.schedule(1, again);
    again();
    await assert.rejects(
      clock.run(1e6, () => {
        throw new Error("stopped");
      }),
      /stopped/,
    );
    await assert.rejects(clock.run(-1), /VirtualClock.run: ms/);
  });

  test("does not keep a million cancelled timers", () => {
    const clock = new VirtualClock();
    const kept = clock.schedule(1e9, () => {});
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 1_000_000; i++) clock.schedule(1e6 + i, () => {}).cancel();
    collectGarbage();
    const growth = process.memoryUsage().heapUsed - before;
    assert.ok(growth < 1_000_000, `the heap grew by ${growth} bytes`);
    assert.equal(clock.pending, 1);
    kept.cancel();
    assert.equal(clock.pending, 0);
  });
});
