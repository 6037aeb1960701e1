import assert from "node:assert/strict";
import { test } from "node:test";
import { LoopClock } from "../../clock/test-fixtures/loop-clock.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { LoopLag } from "./loop-lag.ts";

function bed(targetMs = 20) {
  const clock = new LoopClock();
  const state = { wanted: true, looks: 0 };
  const lag = new LoopLag(
    clock,
    targetMs,
    () => state.wanted,
    () => state.looks++,
  );
  lag.start(clock.now());
  /** So many calls end at regular times, each with so many in flight, while so much time passes. */
  const pass = async (ms: number, calls: number, inFlight: number): Promise<void> => {
    for (let i = 0; i < calls; i++) {
      await clock.virtual.advance(ms / calls);
      lag.ended(inFlight);
    }
  };
  return { clock, lag, state, pass };
}

test("while the loop comes round in time nobody is held back, and it is known to be in time", async () => {
  const { clock, lag, pass, state } = bed();
  await pass(1000, 1000, 500);
  assert.equal(lag.limit, Infinity);
  assert.ok(lag.lateMs(clock.now()) <= 0);
  assert.equal(state.looks, 200);
});

test("a loop that is never idle and keeps things waiting lets in fewer, until the wait is short", async () => {
  const { clock, lag, pass } = bed();
  clock.loop.turnMs = 200;
  await pass(1000, 1000, 100);
  assert.ok(lag.limit <= 50, `the limit is ${lag.limit}`);
  await clock.virtual.advance(6);
  assert.ok(lag.lateMs(clock.now()) > 0);
  const low = lag.limit;
  clock.loop.turnMs = 10;
  for (let i = 0; i < 20; i++) {
    lag.press(clock.now());
    await pass(100, 100, low);
  }
  assert.ok(lag.limit > low, "it grows again while calls wait");
});

test("a loop that is idle at times, or late once, has no more to do than it can", async () => {
  const { clock, lag, pass } = bed();
  clock.loop.turnMs = 200;
  clock.loop.idleShare = 0.1;
  await pass(2000, 1000, 100);
  assert.equal(lag.limit, Infinity);
  clock.loop.idleShare = 0;
  clock.loop.turnMs = 0;
  await pass(1000, 1000, 100);
  clock.loop.turnMs = 150;
  await pass(150, 100, 100);
  clock.loop.turnMs = 0;
  await pass(1000, 1000, 100);
  assert.equal(lag.limit, Infinity);
});

test("where a single call keeps the loop for long, that alone is no overload", async () => {
  const { clock, lag, pass } = bed();
  // One call of 100 ms a turn: an arrival waits 50 ms on average, and no limit could change that.
  clock.loop.turnMs = 100;
  await pass(5000, 50, 1);
  assert.equal(lag.limit, Infinity);
});

test("the limit is never below one, and gone when there is room again", async () => {
  const { clock, lag, pass } = bed();
  clock.loop.turnMs = 1000;
  await pass(30_000, 3000, 3);
  assert.equal(lag.limit, 1);
  clock.loop.turnMs = 0;
  for (let i = 0; i < 30; i++) {
    lag.press(clock.now());
    await pass(100, 100, 1);
  }
  assert.equal(lag.limit, Infinity);
});

test("who waits for the loop is looked at as soon as it comes round", async () => {
  const { clock, lag, state } = bed();
  clock.loop.turnMs = 30;
  await clock.virtual.advance(20);
  const { looks } = state;
  clock.loop.turnMs = 1;
  lag.press(clock.now());
  lag.press(clock.now());
  await clock.virtual.advance(2);
  assert.equal(state.looks, looks + 1);
});

test("looking ends when nothing wants it, and begins anew; without a loop it never begins", async () => {
  const { clock, lag, state } = bed();
  state.wanted = false;
  await clock.virtual.advance(100);
  assert.equal(clock.virtual.pending, 0);
  const { looks } = state;
  state.wanted = true;
  lag.start(clock.now());
  lag.start(clock.now());
  await clock.virtual.advance(5);
  assert.equal(state.looks, looks + 1);
  const without = new VirtualClock();
  const none = new LoopLag(
    without,
    20,
    () => true,
    () => {},
  );
  none.start(without.now());
  none.press(without.now());
  assert.equal(without.pending, 0);
  assert.equal(none.limit, Infinity);
});

test("what was before a rest tells nothing of after: once may be chance", async () => {
  const { clock, lag, pass, state } = bed();
  clock.loop.turnMs = 200;
  for (let i = 0; i < 3; i++) {
    state.wanted = true;
    lag.start(clock.now());
    await pass(150, 150, 100);
    state.wanted = false;
    await clock.virtual.advance(1000);
    assert.equal(lag.limit, Infinity, `too busy once, for the ${i + 1}. time`);
  }
});
