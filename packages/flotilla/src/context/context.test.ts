import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { systemClock } from "../clock/system-clock.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { Context } from "./context.ts";
import { contextKey } from "./key.ts";
import { requestContext } from "./request-context.ts";
import { assertDone, assertOpen } from "./test-fixtures/assert-context.ts";
import { background, remainingMs, withCancel, withoutCancel, withTimeout, withValue } from "./with.ts";

// The cases follow go/src/context/context_test.go and afterfunc_test.go; its names stand in brackets.

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

test("a context shows what is in force when it is printed, and no value", () => {
  const clock = new VirtualClock();
  const secret = contextKey<string>("app.token");
  const ctx = withTimeout(withValue(background(clock), secret, "hidden"), 250);
  assert.match(inspect(ctx), /deadlineInMs: 250.*err: undefined.*values: \[ 'app\.token' \]/);
  ctx.cancel();
  assert.match(inspect(ctx), /err: 'canceled'/);
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
