import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { RetryBudget } from "./retry-budget.ts";

const take = (budget: RetryBudget): number => {
  let taken = 0;
  while (budget.withdraw()) taken++;
  return taken;
};

test("a quiet client may retry as often as the floor says, in ten seconds", async () => {
  const clock = new VirtualClock();
  const budget = new RetryBudget({ clock, floor: 4 });
  assert.equal(budget.balance, 4);
  assert.equal(take(budget), 4);
  await clock.advance(2400);
  assert.equal(take(budget), 0);
  await clock.advance(100);
  assert.equal(take(budget), 1);
  await clock.advance(60_000);
  assert.equal(take(budget), 4);
});

test("requests earn a fifth of a retry each, which is kept for as long as the window", async () => {
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
  await clock.advance(2000);
  assert.equal(budget.balance, 0);
});

test("where everything fails retries are a fifth of the requests in every second, not now and then", async () => {
  const clock = new VirtualClock();
  const budget = new RetryBudget({ clock });
  for (let second = 0; second < 60; second++) {
    let retries = 0;
    for (let i = 0; i < 100; i++) {
      budget.deposit();
      if (second >= 10 && budget.withdraw()) retries++;
      await clock.advance(10);
    }
    if (second > 11) assert.ok(retries >= 19 && retries <= 21, `${retries} in second ${second}`);
  }
});

test("never more at once than was earned in the window or the floor, never more in all than is earned", async () => {
  const step = fc.record({ ms: fc.integer({ min: 0, max: 700 }), requests: fc.integer({ min: 0, max: 20 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 0, max: 5 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (steps, floor, ratio) => {
        const clock = new VirtualClock();
        const budget = new RetryBudget({ clock, floor, ratio, windowMs: 2000 });
        const events: { at: number; requests: number }[] = [];
        let all = 0;
        let earned = floor;
        for (const { ms, requests } of steps) {
          await clock.advance(ms);
          for (let i = 0; i < requests; i++) budget.deposit();
          events.push({ at: clock.now(), requests });
          earned += Math.max(ratio * requests, (floor * ms) / 10_000);
          const retries = take(budget);
          all += retries;
          const recent = events
            .filter(({ at }) => at > clock.now() - 2000)
            .reduce((sum, event) => sum + event.requests, 0);
          assert.ok(retries <= Math.max(floor, ratio * recent) + 1e-9, `${retries} at once, of ${recent} requests`);
          assert.ok(all <= earned + 1e-9, `${all} of ${earned}`);
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
