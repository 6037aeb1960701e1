import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "../clock/system-clock.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { contextKey } from "./key.ts";
import { requestContext } from "./request-context.ts";
import { assertDone, assertOpen } from "./test-fixtures/assert-context.ts";
import { background, remainingMs, withCancel, withDeadline, withTimeout, withValue } from "./with.ts";

// The cases follow go/src/context/context_test.go and afterfunc_test.go; its names stand in brackets.

describe("withTimeout and withDeadline", () => {
  test("end by themselves, no earlier than the deadline (TestDeadline, TestTimeout)", async () => {
    const clock = new VirtualClock();
    await clock.advance(3);
    const root = background(clock);
    for (const make of [() => withTimeout(root, 50), () => withDeadline(root, clock.now() + 50)]) {
      const start = clock.now();
      const ctx = make();
      assert.equal(ctx.deadline, start + 50);
      assert.equal(remainingMs(ctx), 50);
      assertOpen(ctx);
      await clock.advance(49.9);
      assertOpen(ctx);
      await clock.advance(4.1);
      assert.equal(ctx.signal.aborted, true);
      assertDone(ctx, "deadline_exceeded");
      assert.ok(remainingMs(ctx) < 0);
    }
  });

  test("err is exact at the deadline although no timer has run", async () => {
    const clock = new VirtualClock();
    const ctx = withTimeout(background(clock), 1.5);
    const code = (): string | undefined => ctx.err?.code;
    await clock.advance(1.4);
    assert.equal(code(), undefined);
    await clock.advance(0.1);
    assert.equal(code(), "deadline_exceeded");
    assert.equal(clock.pending, 0);
  });

  test("a child never has a later deadline than its parent", () => {
    const parent = withTimeout(background(new VirtualClock()), 100);
    assert.equal(withTimeout(parent, 200).deadline, 100);
    assert.equal(withTimeout(parent, Infinity).deadline, 100);
    assert.equal(withCancel(parent).deadline, 100);
    assert.equal(withValue(withCancel(parent), contextKey("k"), 1).deadline, 100);
    assert.equal(withDeadline(parent, 40).deadline, 40);
  });

  test("the earliest of many layers ends them (TestLayersTimeout)", async () => {
    const clock = new VirtualClock();
    const outer = withTimeout(background(clock), 300);
    const middle = withTimeout(outer, 100);
    const inner = withTimeout(withCancel(middle), 200);
    for (const ctx of [outer, middle, inner]) assertOpen(ctx);
    await clock.advance(100);
    assertOpen(outer);
    assertDone(middle, "deadline_exceeded");
    assertDone(inner, "deadline_exceeded");
    assert.equal(inner.err, middle.err);
  });

  test("cancel before the deadline gives canceled, after it deadline_exceeded (TestCanceledTimeout)", async () => {
    const clock = new VirtualClock();
    const early = withTimeout(background(clock), 10);
    const late = withTimeout(background(clock), 10);
    early.cancel();
    await clock.advance(10);
    late.cancel("too late");
    assertDone(early, "canceled");
    assertDone(late, "deadline_exceeded");
  });

  test("what came first wins, not what was noticed first", async () => {
    const clock = new VirtualClock();
    const parent = withCancel(background(clock));
    const before = withTimeout(parent, 5);
    const after = withTimeout(parent, 15);
    await clock.advance(10);
    parent.cancel("at 10");
    await clock.advance(10);
    assertDone(before, "deadline_exceeded");
    assertDone(after, "canceled", "at 10");
  });

  test("a past deadline is done at once, yet under a parent that has ended the parent's end came first", async () => {
    const clock = new VirtualClock();
    await clock.advance(10);
    const parent = withCancel(background(clock));
    for (const ctx of [withTimeout(parent, 0), withTimeout(parent, -5), withDeadline(parent, -Infinity)]) {
      assertDone(ctx, "deadline_exceeded");
    }
    parent.cancel("gone");
    for (const ctx of [withTimeout(parent, 0), withTimeout(parent, -5), withDeadline(withCancel(parent), 1)]) {
      assertDone(ctx, "canceled", "gone");
    }
    assert.equal(withDeadline(parent, 1).deadline, 1);
  });

  test("Infinity sets no deadline; NaN is refused", () => {
    assert.equal(withTimeout(background(), Infinity).deadline, undefined);
    assert.equal(withDeadline(background(), Infinity).deadline, undefined);
    assert.equal(requestContext(background(), Infinity, contextKey("k"), 1).deadline, undefined);
    assert.throws(() => withTimeout(background(), NaN), /withTimeout: timeoutMs must be a number/);
    assert.throws(() => withDeadline(background(), NaN), /withDeadline: deadlineMs must be a number/);
  });

  test("each failure is an error of its own", async () => {
    const clock = new VirtualClock();
    const [a, b] = [withTimeout(background(clock), 1), withTimeout(background(clock), 1)];
    await clock.advance(4);
    assert.notEqual(a.err, b.err);
  });

  test("works on the system's clock", async () => {
    const start = systemClock.now();
    const ctx = withTimeout(background(), 20);
    // The context's own timer lets the process exit; this one does not.
    const keepAlive = setTimeout(() => {}, 10_000);
    await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve, { once: true }));
    clearTimeout(keepAlive);
    assert.ok(systemClock.now() - start >= 20);
    assertDone(ctx, "deadline_exceeded");
  });
});

describe("cause", () => {
  test("is what the nearest end was given; err keeps its code (TestCause)", async () => {
    const clock = new VirtualClock();
    const root = background(clock);
    const why = { why: "any value" };

    const parent = withCancel(root);
    const child = withCancel(parent);
    child.cancel("child's");
    parent.cancel(why);
    assertDone(parent, "canceled", why);
    assertDone(child, "canceled", "child's");

    const timed = withTimeout(root, 5);
    const under = withCancel(timed);
    await clock.advance(5);
    under.cancel("too late");
    assertDone(under, "deadline_exceeded");
    assert.equal(under.cause, timed.err);
    assert.equal(under.err?.cause, undefined);

    const falsy = withCancel(root);
    falsy.cancel(0);
    assert.equal(falsy.cause, 0);
    const nothing = withCancel(root);
    nothing.cancel(null);
    assert.equal(nothing.cause, nothing.err);
  });

  test("errs of contexts carry no stack frames, and the limit of others' is left alone", () => {
    const limit = Error.stackTraceLimit;
    const ctx = withCancel(background());
    ctx.cancel();
    assert.equal(ctx.err?.stack, "ServiceError: the call was canceled");
    assert.equal(Error.stackTraceLimit, limit);
  });
});
