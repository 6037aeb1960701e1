import assert from "node:assert/strict";
import { test } from "node:test";
import { hourMs } from "../../kernel/time.ts";
import { type Line, voyageStart } from "./timetable.ts";
import { whyNotSailed } from "./verify.ts";

const line: Line = {
  id: "NE1",
  carrier: "Amber Feeder",
  offset: 0,
  calls: [
    { port: "DEHAM", arrive: 0, depart: 0 },
    { port: "SEGOT", arrive: 30 * hourMs, depart: 40 * hourMs },
    { port: "DEHAM", arrive: 70 * hourMs, depart: 70 * hourMs },
  ],
};
const lines = new Map([[line.id, line]]);
const start = voyageStart(line, 3);
const leg = { voyage: "NE1-0003", from: "DEHAM", to: "SEGOT", loadAt: start, unloadAt: start + 30 * hourMs };

test("what the timetable sails is sailed", () => {
  assert.equal(whyNotSailed(lines, [leg]), undefined);
  assert.equal(whyNotSailed(lines, []), undefined);
});

test("a wrong voyage, port, time or direction is not", () => {
  assert.match(whyNotSailed(lines, [{ ...leg, voyage: "NE9-0003" }]) ?? "", /no voyage NE9-0003/);
  assert.match(whyNotSailed(lines, [{ ...leg, voyage: "NE1-0004" }]) ?? "", /does not leave DEHAM/);
  assert.match(whyNotSailed(lines, [{ ...leg, from: "SESTO" }]) ?? "", /does not leave SESTO/);
  assert.match(whyNotSailed(lines, [{ ...leg, unloadAt: leg.unloadAt + 1 }]) ?? "", /does not reach SEGOT/);
  const backwards = { ...leg, from: "SEGOT", to: "SEGOT", loadAt: start + 40 * hourMs };
  assert.match(whyNotSailed(lines, [leg, backwards]) ?? "", /does not reach SEGOT/);
});
