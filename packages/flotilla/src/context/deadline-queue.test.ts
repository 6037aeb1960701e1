import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../clock/random.ts";
import { VirtualClock } from "../clock/virtual-clock.ts";
import { DeadlineQueue, type Expiring } from "./deadline-queue.ts";

function item(deadlineMs: number, expire: () => void): Expiring {
  return { deadlineMs, expire, slot: undefined, before: undefined, after: undefined };
}

describe("DeadlineQueue", () => {
  test("expires each of any set once, no earlier than due and at most 4 ms late, less those removed", async () => {
    const deadline = fc.record({
      at: fc.integer({ min: 0, max: 60_000 }).map((us) => us / 1_000),
      removed: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(deadline, { maxLength: 60 }), fc.integer(), async (deadlines, seed) => {
        const clock = new VirtualClock();
        const queue = new DeadlineQueue(clock);
        const fired = new Map<Expiring, number[]>();
        const items = deadlines.map(({ at }) => {
          const each = item(at, () => fired.get(each)!.push(clock.now()));
          fired.set(each, []);
          queue.add(each);
          return each;
        });
        // In any order, so that first, middle and last of a slot's list all come out.
        const random = seededRandom(seed);
        const order = items.map((each, i) => ({ each, removed: deadlines[i]!.removed, rank: random.next() }));
        for (const { each, removed } of order.sort((a, b) => a.rank - b.rank)) if (removed) queue.remove(each);
        assert.equal(queue.size, deadlines.filter(({ removed }) => !removed).length);

        await clock.advance(100);
        for (const { each, removed } of order) {
          const times = fired.get(each)!;
          assert.equal(times.length, removed ? 0 : 1);
          for (const time of times) assert.ok(time >= each.deadlineMs && time <= each.deadlineMs + 4);
        }
        assert.equal(queue.size, 0);
        assert.equal(clock.pending, 0);
      }),
    );
  });

  test("removing twice, or what was never added, does nothing", () => {
    const queue = new DeadlineQueue(new VirtualClock());
    const [kept, removed, never] = [item(5, () => {}), item(5, () => {}), item(5, () => {})];
    queue.add(kept);
    queue.add(removed);
    queue.remove(removed);
    queue.remove(removed);
    queue.remove(never);
    assert.equal(queue.size, 1);
  });

  test("the last one removed, the timer lapses once and is not set again for emptied slots", async () => {
    const clock = new VirtualClock();
    const queue = new DeadlineQueue(clock);
    const items = Array.from({ length: 50 }, (_, i) => item(10 + i * 10, () => assert.fail("expired")));
    for (const each of items) queue.add(each);
    for (const each of items) queue.remove(each);
    assert.equal(clock.pending, 1);
    await clock.advance(12);
    assert.equal(clock.pending, 0);
  });

  test("what expires may add and remove", async () => {
    const clock = new VirtualClock();
    const queue = new DeadlineQueue(clock);
    const log: string[] = [];
    const victim = item(8, () => log.push("victim"));
    const next = item(9, () => log.push("next"));
    const due = item(8, () => log.push("due already"));
    queue.add(victim);
    queue.add(
      item(7.5, () => {
        log.push("first");
        queue.remove(victim);
        queue.add(next);
        queue.add(due);
      }),
    );
    await clock.advance(8);
    assert.deepEqual(log, ["first", "due already"]);
    await clock.advance(4);
    assert.deepEqual(log, ["first", "due already", "next"]);
  });

  test("emptied slots do not pile up while one long deadline stays", () => {
    const clock = new VirtualClock();
    const queue = new DeadlineQueue(clock);
    const hour = 3_600_000;
    queue.add(item(2 * hour, () => {}));
    for (let at = 1; at < hour; at += 4) {
      const each = item(at, () => {});
      queue.add(each);
      queue.remove(each);
    }
    assert.equal(queue.size, 1);
    assert.ok(queue.slots <= 70, `${queue.slots} slots for one deadline`);
  });
});
