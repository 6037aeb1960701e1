import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Thinning } from "./thinning.ts";

/** How many of the calls join the queue that holds one of them at most, in which every nth finds room. */
function play(calls: number, everyNth: number): { joined: number; longestRun: number } {
  const thinning = new Thinning();
  let joined = 0;
  let run = 0;
  let longestRun = 0;
  for (let i = 1; i <= calls; i++) {
    const refused = thinning.refuses();
    thinning.asked();
    if (refused) longestRun = Math.max(longestRun, ++run);
    else {
      joined++;
      run = 0;
    }
    if (i % everyNth === 0) thinning.letIn();
  }
  return { joined, longestRun };
}

test("twice as many join as are let in, evenly, whatever comes on top", () => {
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 40 }), (everyNth) => {
      const calls = 20_000;
      const { joined, longestRun } = play(calls, everyNth);
      const surplus = joined / calls - 2 / everyNth;
      assert.ok(surplus > -0.01 && surplus < 0.015, `${joined} of ${calls} joined, one in ${everyNth} was let in`);
      assert.ok(longestRun <= everyNth, `${longestRun} in a row`);
    }),
  );
});

test("next to nobody is refused while every second call at least is let in", () => {
  for (const everyNth of [1, 2]) assert.ok(play(5000, everyNth).joined >= 4950);
});

test("what was is forgotten", () => {
  const thinning = new Thinning();
  for (let i = 0; i < 5000; i++) thinning.asked();
  let refused = 0;
  for (let i = 0; i < 2000; i++) {
    if (thinning.refuses() && i >= 1000) refused++;
    thinning.asked();
    thinning.letIn();
  }
  assert.equal(refused, 0);
});
