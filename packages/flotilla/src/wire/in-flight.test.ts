import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { InFlight, type Listed } from "./in-flight.ts";

test("InFlight holds what a Set would, in the same order", () => {
  const steps = fc.array(fc.tuple(fc.nat({ max: 9 }), fc.boolean()), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (steps) => {
      const items: Listed[] = Array.from({ length: 10 }, () => ({ older: undefined, newer: undefined, listed: false }));
      const list = new InFlight<Listed>();
      const set = new Set<Listed>();
      for (const [which, add] of steps) {
        const item = items[which]!;
        if (!add) list.delete(item);
        else if (!item.listed) list.add(item);
        if (add) set.add(item);
        else set.delete(item);
        assert.deepEqual(
          list.all().map((each) => items.indexOf(each)),
          [...set].map((each) => items.indexOf(each)),
        );
        assert.equal(list.empty, set.size === 0);
        assert.equal(item.listed, set.has(item));
      }
      // What has gone holds on to nothing.
      for (const item of set) list.delete(item);
      assert.ok(items.every(({ older, newer }) => older === undefined && newer === undefined));
    }),
  );
});
