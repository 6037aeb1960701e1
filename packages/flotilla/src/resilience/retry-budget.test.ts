import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { RetryBudget } from "./retry-budget.ts";

test("a quiet client may retry as often as the floor says, in each window", async () => {
  const clock = new VirtualClock();
  const budget = new RetryBudget({ clock, floor: 3, windowMs: 1000 });
  const take = (): number => [1, 2, 3, 4, 5].filter(() => budget.withdraw()).length;
  assert.equal(budget.balance, 3);
  assert.equal(take(), 3);
  assert.equal(take(), 0);
  await clock.advance(999);
  assert.equal(take(), 0);
  await clock.advance(1);
  assert.equal(take(), 3);
});

test("requests earn a fifth of a retry each, for as long as the window", async () => {
  const clock = new VirtualClock();
  const budget = new RetryBudget({ clock, floor: 0 });
  for (let i = 0; i < 4; i++) budget.deposit();
  assert.equal(budget.withdraw(), false);
  budget.deposit();
  assert.equal(budget.balance, 1);
  assert.equal(budget.withdraw(), true);
  assert.equal(budget.withdraw(), false);
  for (let i = 0; i < 50; i++) budget.deposit();
  assert.equal(budget.balance, 10);
  await clock.advance(10_000);
  assert.equal(budget.balance, 0);
});

test("never more than floor + ratio * requests in any window that ends now", async () => {
  const step = fc.record({ ms: fc.integer({ min: 0, max: 700 }), requests: fc.integer({ min: 0, max: 20 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 0, max: 5 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (steps, floor, ratio) => {
        const clock = new VirtualClock();
        const budget = new RetryBudget({ clock, floor, ratio, windowMs: 2000 });
        const events: { at: number; requests: number; retries: number }[] = [];
        for (const { ms, requests } of steps) {
          await clock.advance(ms);
          for (let i = 0; i < requests; i++) budget.deposit();
          let retries = 0;
          while (budget.withdraw()) retries++;
          events.push({ at: clock.now(), requests, retries });
          // Nine whole slots and the current one: what happened in them is certainly counted.
          const recent = events.filter(({ at }) => at > clock.now() - 1800);
          const spent = recent.reduce((sum, event) => sum + event.retries, 0);
          const whole = events
            .filter(({ at }) => at > clock.now() - 2000)
            .reduce((sum, event) => sum + event.requests, 0);
          assert.ok(spent <= floor + ratio * whole + 1e-9, `${spent} retries of ${whole} requests`);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("options that are not legal are refused, by name", () => {
  assert.throws(() => new RetryBudget({ ratio: 1.1 }), /RetryBudget: ratio/);
  assert.throws(() => new RetryBudget({ ratio: Number.NaN }), /RetryBudget: ratio/);
  assert.throws(() => new RetryBudget({ floor: -1 }), /RetryBudget: floor/);
  assert.throws(() => new RetryBudget({ windowMs: 0 }), /RetryBudget: windowMs/);
});
