import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import type { CancelContext, Context } from "./context.ts";
import { contextKey } from "./key.ts";
import type { Node } from "./node.ts";
import { afterFunc, background, withCancel, withTimeout, withValue } from "./with.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** What hangs on a scope; private, and no business of anybody but this test. */
interface Links {
  readonly child: unknown;
  readonly listener: unknown;
  readonly linked: boolean;
}

const key = contextKey<number>("k");
const contexts = 1_000_000;

/** What a million calls may do with their context, under a parent that lives on and is listened to. */
const patterns: Record<string, (parent: Context) => void> = {
  "never asked for a signal": (parent) => {
    const ctx = withTimeout(parent, 1_000);
    withValue(ctx, key, 1).value(key);
    ctx.cancel();
  },
  "asked for a signal, listened to, cancelled": (parent) => {
    const ctx = withTimeout(parent, 1_000);
    withValue(ctx, key, 1).signal.addEventListener("abort", noop, { once: true });
    ctx.cancel();
  },
  "afterFunc under two layers, stopped and neither cancelled": (parent) => {
    afterFunc(withTimeout(withCancel(parent), 1_000), noop)();
  },
};

function noop(): void {}

describe(`nothing is left after ${contexts} contexts`, () => {
  for (const [title, pattern] of Object.entries(patterns)) {
    test(title, async () => {
      const clock = new VirtualClock();
      const root = background(clock) as Node;
      const parent = withCancel(root);
      const signal = parent.signal;
      const run = async (count: number): Promise<void> => {
        for (let i = 0; i < count; i++) {
          pattern(parent);
          // Time goes by, so that deadlines fall into many slots.
          if (i % 1_000 === 0) await clock.advance(1);
        }
      };
      await run(20_000);
      collectGarbage();
      const before = process.memoryUsage().heapUsed;
      await run(contexts);
      collectGarbage();
      const growth = process.memoryUsage().heapUsed - before;
      assert.ok(growth < 1_000_000, `the heap grew by ${growth} bytes`);

      const links = parent as unknown as Links;
      assert.equal(links.child, undefined);
      assert.equal(links.listener, undefined);
      assert.equal(getEventListeners(signal, "abort").length, 0);
      assert.equal(root.root.deadlines.size, 0);
      assert.ok(root.root.deadlines.slots <= 66);
      assert.ok(clock.pending <= 1);
      await clock.advance(1_000);
      assert.equal(clock.pending, 0);
    });
  }
});

test("siblings that end in any order leave nothing on their parent, nor on those above it", () => {
  const random = seededRandom(5);
  for (let round = 0; round < 200; round++) {
    const clock = new VirtualClock();
    const root = background(clock) as Node;
    const grandparent = withCancel(root);
    const parent = withTimeout(grandparent, 500);
    const releases = Array.from({ length: 12 }, () => {
      const child: CancelContext = withTimeout(parent, 100 + random.next());
      if (random.next() < 0.5) return afterFunc(child, noop);
      void child.signal;
      return () => child.cancel();
    });
    assert.ok((grandparent as unknown as Links).linked);
    for (const release of releases.sort(() => random.next() - 0.5)) release();
    for (const ctx of [parent, grandparent]) {
      const { child, linked } = ctx as unknown as Links;
      assert.deepEqual({ child, linked }, { child: undefined, linked: false });
    }
    assert.equal(root.root.deadlines.size, 0);
  }
});

test("cancelling releases every child and timer below", () => {
  const clock = new VirtualClock();
  const root = background(clock) as Node;
  const top = withCancel(root);
  const below: Context[] = [top];
  for (let i = 0; i < 500; i++) {
    const ctx = withTimeout(below[i >> 1]!, 1_000 - i);
    void ctx.signal;
    below.push(ctx);
  }
  assert.equal(root.root.deadlines.size, 500);
  top.cancel();
  assert.equal(root.root.deadlines.size, 0);
  for (const ctx of below) {
    const { child, linked } = ctx as unknown as Links;
    assert.deepEqual(
      { child, linked, aborted: ctx.signal.aborted },
      { child: undefined, linked: false, aborted: true },
    );
  }
});

test("a context that is done keeps no child alive", async () => {
  const parent = withCancel(background(new VirtualClock()));
  const makeChild = (): WeakRef<Context> => {
    const child = withTimeout(parent, 1_000);
    void child.signal;
    return new WeakRef(child);
  };
  const refs = Array.from({ length: 10 }, makeChild);
  parent.cancel();
  await new Promise((resolve) => setImmediate(resolve));
  collectGarbage();
  assert.deepEqual(
    refs.map((ref) => ref.deref()),
    Array(10).fill(undefined),
  );
  assert.ok(parent.signal.aborted);
});
