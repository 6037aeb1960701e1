import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "../clock/system-clock.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { Context } from "./context.ts";
import { contextKey } from "./key.ts";
import { requestContext } from "./request-context.ts";
import { sleep } from "./sleep.ts";
import {
  afterFunc,
  background,
  remainingMs,
  withCancel,
  withDeadline,
  withoutCancel,
  withTimeout,
  withValue,
} from "./with.ts";

// The cases follow go/src/context/context_test.go and afterfunc_test.go; its names stand in brackets.

/** Every microtask queued so far, and those they queue, have run when it resolves. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function assertOpen(ctx: Context): void {
  assert.equal(ctx.err, undefined);
  assert.equal(ctx.cause, undefined);
  assert.equal(ctx.signal.aborted, false);
}

function assertDone(ctx: Context, code: string, cause?: unknown): void {
  assert.equal(ctx.err?.code, code);
  assert.equal(ctx.cause, cause ?? ctx.err);
  assert.equal(ctx.signal.aborted, true);
  assert.equal(ctx.signal.reason, ctx.err);
}

describe("background", () => {
  test("is never done and has neither deadline nor values (TestBackground)", () => {
    const ctx = background();
    assertOpen(ctx);
    assert.equal(ctx.deadline, undefined);
    assert.equal(remainingMs(ctx), Infinity);
    assert.equal(ctx.value(contextKey("nothing")), undefined);
    assert.equal(ctx.clock, systemClock);
    assert.equal(background(), ctx);
  });

  test("takes a clock, which all below it share", () => {
    const clock = new VirtualClock();
    assert.equal(withValue(withCancel(background(clock)), contextKey("a"), 1).clock, clock);
  });
});

describe("withCancel", () => {
  test("ends by cancel, and only then (TestWithCancel)", () => {
    const ctx = withCancel(background());
    assert.equal(ctx.deadline, undefined);
    assertOpen(ctx);
    ctx.cancel();
    assertDone(ctx, "canceled");
    assert.ok(ctx.err instanceof ServiceError);
  });

  test("the first cancel wins", () => {
    const first = new Error("first");
    const ctx = withCancel(background());
    ctx.cancel(first);
    const { err } = ctx;
    ctx.cancel(new Error("second"));
    assertDone(ctx, "canceled", first);
    assert.equal(ctx.err, err);
    assert.equal(ctx.err?.cause, first);
  });

  test("a cancel without a cause is not overruled by one with a cause", () => {
    const ctx = withCancel(background());
    ctx.cancel();
    ctx.cancel("late");
    assertDone(ctx, "canceled");
  });

  test("ends children with their parent, values between them or not (TestParentFinishesChild)", () => {
    const parent = withCancel(background());
    const children = [
      withCancel(parent),
      withTimeout(withValue(parent, contextKey("k"), 1), 10_000),
      withCancel(withCancel(withCancel(parent))),
      withValue(parent, contextKey("k"), 1),
    ];
    for (const child of children) assertOpen(child);
    parent.cancel("why");
    for (const child of children) assertDone(child, "canceled", "why");
  });

  test("does not end the parent or siblings with a child (TestChildFinishesFirst)", () => {
    for (const parent of [background(), withCancel(background()), withTimeout(background(), 10_000)]) {
      const child = withCancel(parent);
      const sibling = withCancel(parent);
      assertOpen(sibling);
      child.cancel();
      assertDone(child, "canceled");
      assertOpen(parent);
      assertOpen(sibling);
    }
  });

  test("a child of a parent that has ended is done at once, with the parent's err and cause (TestWithCancelCanceledParent)", () => {
    const parent = withCancel(background());
    parent.cancel("gone");
    const child = withCancel(parent);
    assertDone(child, "canceled", "gone");
    assert.equal(child.err, parent.err);
    child.cancel("late");
    assertDone(child, "canceled", "gone");
  });

  test("holds through many layers (TestLayersCancel)", () => {
    const top = withCancel(background());
    let ctx: Context = top;
    for (let i = 0; i < 1_000; i++) ctx = i % 3 === 0 ? withValue(ctx, contextKey(`${i}`), i) : withCancel(ctx);
    assertOpen(ctx);
    top.cancel("top");
    assertDone(ctx, "canceled", "top");
  });

  test("cancels that meet within listeners end each context once (TestInterlockedCancels)", () => {
    const parent = withCancel(background());
    const child = withCancel(parent);
    let runs = 0;
    parent.signal.addEventListener("abort", () => {
      runs++;
      child.cancel("from the parent's listener");
    });
    child.signal.addEventListener("abort", () => {
      runs++;
      parent.cancel("from the child's listener");
    });
    parent.cancel("outside");
    assert.equal(runs, 2);
    assertDone(parent, "canceled", "outside");
    assertDone(child, "canceled", "outside");
  });

  test("is disposable, so that `using` cancels at the end of the block", () => {
    const ctx = withCancel(background());
    // Not written with `using`, which Node 22 does not know.
    ctx[Symbol.dispose]();
    assertDone(ctx, "canceled");
  });
});

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

describe("values", () => {
  const first = contextKey<string>("name");
  const second = contextKey<string>("name");
  const preset = contextKey("preset", 42);

  test("are found from the nearest ancestor; keys differ by identity, not by name (TestValues)", () => {
    const one = withValue(background(), first, "one");
    const two = withValue(withCancel(one), second, "two");
    const three = withValue(two, first, "three");
    assert.equal(one.value(first), "one");
    assert.equal(one.value(second), undefined);
    assert.equal(two.value(first), "one");
    assert.equal(three.value(first), "three");
    assert.equal(three.value(second), "two");
  });

  test("default where the key says so, and an undefined that was set hides the default", () => {
    assert.equal(background().value(preset), 42);
    assert.equal(withValue(background(), preset, 7).value(preset), 7);
    const optional = contextKey<number | undefined>("optional", 3);
    assert.equal(withValue(background(), optional, undefined).value(optional), undefined);
  });

  test("of a request's context lie in its own link", () => {
    const ctx = requestContext(background(new VirtualClock()), 5, preset, 1);
    assert.equal(ctx.value(preset), 1);
    assert.equal(ctx.deadline, 5);
  });
});

describe("withoutCancel", () => {
  test("keeps the values and drops deadline and end (TestWithoutCancel)", async () => {
    const clock = new VirtualClock();
    const key = contextKey<string>("k");
    const parent = withTimeout(withValue(background(clock), key, "kept"), 5);
    const ctx = withoutCancel(parent);
    const below = withCancel(ctx);
    await clock.advance(10);
    assertDone(parent, "deadline_exceeded");
    for (const open of [ctx, below]) {
      assertOpen(open);
      assert.equal(open.deadline, undefined);
      assert.equal(open.value(key), "kept");
    }
    below.cancel();
    assertDone(below, "canceled");
    assertOpen(ctx);
  });
});

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
