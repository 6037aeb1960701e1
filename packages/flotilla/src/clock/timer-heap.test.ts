import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TimerHeap, type Waiting } from "./timer-heap.ts";

interface Item extends Waiting {
  readonly at: number;
  readonly order: number;
}

test("TimerHeap gives the earliest first, of the same time the first come, whatever is taken out meanwhile", () => {
  const add = fc.record({
    at: fc.oneof(fc.nat({ max: 9 }), fc.double({ noNaN: true, min: 0 }), fc.constant(Infinity)),
  });
  const take = fc.constant("first" as const);
  const remove = fc.record({ nth: fc.nat() });
  // Mostly added, so that it outgrows the room it begins with.
  const steps = fc.array(fc.oneof({ arbitrary: add, weight: 4 }, take, remove), { maxLength: 400, size: "max" });
  fc.assert(
    fc.property(steps, (steps) => {
      const heap = new TimerHeap<Item>();
      const model: Item[] = [];
      let order = 0;
      for (const step of steps) {
        if (step === "first") {
          if (model.length === 0) continue;
          assert.equal(heap.firstAt, model[0]!.at);
          assert.equal(heap.takeFirst(), model.shift());
        } else if ("at" in step) {
          const item = { at: step.at, order: order++, node: -1 };
          heap.add(item.at, item);
          model.push(item);
          model.sort((a, b) => (a.at === b.at ? a.order - b.order : a.at < b.at ? -1 : 1));
        } else if (model.length > 0) {
          const [item] = model.splice(step.nth % model.length, 1);
          heap.remove(item!);
          assert.equal(item!.node, -1);
        }
        assert.equal(heap.size, model.length);
      }
      while (model.length > 0) assert.equal(heap.takeFirst(), model.shift());
      assert.equal(heap.size, 0);
    }),
  );
});
