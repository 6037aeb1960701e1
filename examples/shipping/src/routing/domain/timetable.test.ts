import assert from "node:assert/strict";
import { test } from "node:test";
import { hourMs, weekMs } from "../../kernel/time.ts";
import { findVoyage, type Line, movements, timetableEpoch, voyageNumber } from "./timetable.ts";

const line: Line = {
  id: "NE1",
  carrier: "Amber Feeder",
  offset: 5 * hourMs,
  calls: [
    { port: "DEHAM", arrive: 0, depart: 0 },
    { port: "SEGOT", arrive: 30 * hourMs, depart: 40 * hourMs },
    { port: "DEHAM", arrive: 70 * hourMs, depart: 70 * hourMs },
  ],
};
const lines = new Map([[line.id, line]]);

test("a voyage is found by its number", () => {
  assert.deepEqual(findVoyage(lines, voyageNumber("NE1", 152)), { line, week: 152 });
  for (const number of ["NE2-0152", "NE1-152", "NE1", "NE1-0152x", ""])
    assert.equal(findVoyage(lines, number), undefined);
});

test("the movements of a voyage follow its week", () => {
  const start = timetableEpoch + 2 * weekMs + 5 * hourMs;
  assert.deepEqual(movements({ line, week: 2 }), [
    { from: "DEHAM", to: "SEGOT", departAt: start, arriveAt: start + 30 * hourMs },
    { from: "SEGOT", to: "DEHAM", departAt: start + 40 * hourMs, arriveAt: start + 70 * hourMs },
  ]);
});
