import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { BurstLimiter } from "./burst.ts";

describe("BurstLimiter", () => {
  test("so many at once, then so many a second; what is left out is told of a second later, once", async () => {
    const clock = new VirtualClock();
    const told: unknown[] = [];
    const limiter = new BurstLimiter({ burst: 10, perSecond: 1 }, clock, (...report) => told.push(report));
    const admitted = (): number => Array.from({ length: 50 }, () => limiter.admit(50, "down")).filter(Boolean).length;
    assert.equal(admitted(), 10);
    assert.deepEqual(told, []);
    await clock.advance(1000);
    assert.deepEqual(told, [[50, "down", 40]]);
    assert.equal(admitted(), 1);
    limiter.flush();
    assert.deepEqual(told.at(-1), [50, "down", 49]);
    limiter.flush();
    assert.equal(told.length, 2);
  });

  test("messages and levels do not share", () => {
    const limiter = new BurstLimiter({ burst: 1 }, new VirtualClock(), () => {});
    assert.deepEqual(
      [limiter.admit(50, "a"), limiter.admit(50, "b"), limiter.admit(40, "a"), limiter.admit(50, "a")],
      [true, true, true, false],
    );
  });

  test("a million different messages take no more memory than a thousand, and the frequent one stays limited", () => {
    const limiter = new BurstLimiter({ burst: 1, messages: 1000 }, new VirtualClock(), () => {});
    limiter.admit(30, "frequent");
    for (let i = 0; i < 10_000; i++) {
      limiter.admit(30, `message ${i}`);
      if (i % 100 === 0) assert.equal(limiter.admit(30, "frequent"), false);
    }
    assert.ok(limiter.size <= 1000, `${limiter.size}`);
  });

  test("admits no more than burst + rate x time, and tells of all the others (property)", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 100 }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 0, max: 30 })), { maxLength: 30 }),
        async (burst, perSecond, steps) => {
          const clock = new VirtualClock();
          let suppressed = 0;
          const limiter = new BurstLimiter({ burst, perSecond }, clock, (_level, _message, lines) => {
            suppressed += lines;
          });
          let admitted = 0;
          let given = 0;
          for (const [waitMs, lines] of steps) {
            await clock.advance(waitMs);
            for (let i = 0; i < lines; i++, given++) if (limiter.admit(30, "m")) admitted++;
            assert.ok(admitted <= burst + (perSecond * clock.now()) / 1000 + 1e-6);
          }
          limiter.flush();
          assert.equal(admitted + suppressed, given);
        },
      ),
    );
  });

  test("options out of range are refused, by name", () => {
    for (const [options, name] of [
      [{ burst: 0 }, /burst\.burst/],
      [{ perSecond: 0 }, /burst\.perSecond/],
      [{ messages: 1 }, /burst\.messages/],
    ] as const) {
      assert.throws(() => new BurstLimiter(options, new VirtualClock(), () => {}), {
        name: "RangeError",
        message: name,
      });
    }
  });
});
