import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { contextKey } from "./key.ts";
import { sleep } from "./sleep.ts";
import { assertOpen, settled } from "./test-fixtures/assert-context.ts";
import { afterFunc, background, withCancel, withTimeout, withValue } from "./with.ts";

// The cases follow go/src/context/context_test.go and afterfunc_test.go; its names stand in brackets.

describe("signal", () => {
  test("is one and the same for the contexts of one scope", () => {
    const ctx = withCancel(background());
    assert.equal(ctx.signal, ctx.signal);
    assert.equal(withValue(ctx, contextKey("k"), 1).signal, ctx.signal);
    assert.notEqual(withCancel(ctx).signal, ctx.signal);
  });

  test("of a context that never ends is nobody else's, so that listeners cannot pile up on it", () => {
    assert.notEqual(background().signal, background().signal);
  });

  test("of many contexts share one timer within 4 ms", async () => {
    const clock = new VirtualClock();
    const root = background(clock);
    const all = Array.from({ length: 100 }, (_, i) => withTimeout(root, 96.5 + i / 50));
    for (const ctx of all) assertOpen(ctx);
    assert.equal(clock.pending, 1);
    await clock.advance(100);
    for (const ctx of all) assert.equal(ctx.signal.aborted, true);
    assert.equal(clock.pending, 0);
  });

  test("an earlier deadline re-arms the timer", async () => {
    const clock = new VirtualClock();
    const late = withTimeout(background(clock), 1_000);
    const root = withCancel(late);
    assertOpen(root);
    const early = withTimeout(root, 10);
    assertOpen(early);
    assert.equal(clock.pending, 1);
    await clock.advance(12);
    assert.equal(early.signal.aborted, true);
    assert.equal(root.signal.aborted, false);
    await clock.advance(988);
    assert.equal(root.signal.aborted, true);
  });
});

describe("afterFunc", () => {
  test("calls once, asynchronously, after cancel (TestAfterFuncCalledAfterCancel, ...Asynchronously)", async () => {
    const ctx = withCancel(background());
    let runs = 0;
    const stop = afterFunc(ctx, () => runs++);
    await settled();
    assert.equal(runs, 0);
    ctx.cancel();
    assert.equal(runs, 0);
    await settled();
    assert.equal(runs, 1);
    assert.equal(stop(), false);
  });

  test("calls after a timeout, with no signal asked for (TestAfterFuncCalledAfterTimeout)", async () => {
    const clock = new VirtualClock();
    const ctx = withTimeout(background(clock), 8);
    let runs = 0;
    afterFunc(ctx, () => runs++);
    await clock.advance(7);
    assert.equal(runs, 0);
    await clock.advance(1);
    assert.equal(runs, 1);
  });

  test("calls at once when the context is done already (TestAfterFuncCalledImmediately)", async () => {
    const ctx = withCancel(background());
    ctx.cancel();
    let runs = 0;
    afterFunc(ctx, () => runs++);
    assert.equal(runs, 0);
    await settled();
    assert.equal(runs, 1);
  });

  test("does not call after stop, which is true once (TestAfterFuncNotCalledAfterStop)", async () => {
    const ctx = withCancel(background());
    let runs = 0;
    const stop = afterFunc(ctx, () => runs++);
    assert.equal(stop(), true);
    assert.equal(stop(), false);
    ctx.cancel();
    await settled();
    assert.equal(runs, 0);
  });

  test("can be stopped between the end and its turn", async () => {
    const open = withCancel(background());
    const done = withCancel(background());
    done.cancel();
    let runs = 0;
    const stops = [afterFunc(open, () => runs++), afterFunc(done, () => runs++)];
    open.cancel();
    assert.deepEqual(
      stops.map((stop) => stop()),
      [true, true],
    );
    assert.deepEqual(
      stops.map((stop) => stop()),
      [false, false],
    );
    await settled();
    assert.equal(runs, 0);
  });

  test("on a context that never ends the first stop is true", () => {
    const stop = afterFunc(background(), () => assert.fail("called"));
    assert.equal(stop(), true);
    assert.equal(stop(), false);
  });

  test("one function given twice is called twice, and stopped one at a time", async () => {
    const ctx = withCancel(background());
    let runs = 0;
    const count = (): number => runs++;
    const stop = afterFunc(ctx, count);
    afterFunc(ctx, count);
    afterFunc(ctx, count);
    stop();
    ctx.cancel();
    await settled();
    assert.equal(runs, 2);
  });

  test("calls in the order given", async () => {
    const ctx = withCancel(background());
    const order: number[] = [];
    for (let i = 0; i < 5; i++) afterFunc(ctx, () => order.push(i));
    ctx.cancel();
    await settled();
    assert.deepEqual(order, [0, 1, 2, 3, 4]);
  });
});

describe("sleep", () => {
  test("waits on the context's clock and leaves nothing behind", async () => {
    const clock = new VirtualClock();
    const ctx = withCancel(background(clock));
    let woke = false;
    void sleep(ctx, 100).then(() => {
      woke = true;
    });
    await clock.advance(99);
    assert.equal(woke, false);
    await clock.advance(1);
    assert.equal(woke, true);
    assert.equal(clock.pending, 0);
  });

  test("rejects with err as soon as the context is done, its timer gone", async () => {
    const clock = new VirtualClock();
    const ctx = withCancel(background(clock));
    const sleeping = sleep(ctx, 100);
    ctx.cancel("enough");
    await assert.rejects(sleeping, (error) => error === ctx.err);
    assert.equal(clock.pending, 0);
    await assert.rejects(sleep(ctx, 0), { code: "canceled" });
  });

  test("a sleep past the deadline ends at the deadline", async () => {
    const clock = new VirtualClock();
    const rejected = assert.rejects(sleep(withTimeout(background(clock), 20), 1_000), { code: "deadline_exceeded" });
    await clock.advance(20);
    await rejected;
    assert.equal(clock.pending, 0);
  });
});
