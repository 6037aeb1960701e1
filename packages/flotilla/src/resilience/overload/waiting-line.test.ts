import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { priorities } from "../../metadata/priority.ts";
import { Place, WaitingLine } from "./waiting-line.ts";

test("agrees with plain lists, whatever is added and removed", () => {
  const step = fc.record({
    act: fc.constantFrom("add", "oldest first", "newest first", "least important", "any"),
    priority: fc.constantFrom(...priorities),
    index: fc.nat(50),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const line = new WaitingLine();
      const model: Place[] = [];
      const byRank = (rank: number): Place[] => model.filter((place) => place.rank === rank);
      for (const { act, priority, index } of steps) {
        const rank = priorities.indexOf(priority);
        let place: Place | undefined;
        if (act === "add") {
          place = new Place(priority, 0, 0, () => {});
          line.add(place);
          model.push(place);
          continue;
        }
        if (act === "any") place = model[index % Math.max(1, model.length)];
        else if (act === "least important") {
          place = line.leastImportant(rank);
          const worst = [2, 1, 0].find((r) => r >= rank && byRank(r).length > 0);
          assert.equal(place, worst === undefined ? undefined : byRank(worst)[0]);
        } else {
          place = line.first(act === "newest first");
          const best = [0, 1, 2].find((r) => byRank(r).length > 0);
          const list = best === undefined ? [] : byRank(best);
          assert.equal(place, act === "newest first" ? list.at(-1) : list[0]);
        }
        if (place === undefined) continue;
        line.remove(place);
        line.remove(place);
        model.splice(model.indexOf(place), 1);
        assert.equal(line.size, model.length);
        for (let r = 0; r < priorities.length; r++) assert.equal(line.oldest(r), byRank(r)[0]);
      }
    }),
  );
});
