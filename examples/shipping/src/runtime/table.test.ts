import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { renderLine, renderView, type View } from "./table.ts";

const view: View = {
  title: "Shipping",
  rows: [
    {
      name: "booking",
      instances: 1,
      wanted: 1,
      pids: [11],
      perSecond: 12.34,
      p50Ms: 1.234,
      p99Ms: 123.4,
      refused: 0,
      errors: 0,
    },
    {
      name: "routing",
      instances: 2,
      wanted: 3,
      pids: [12, 13],
      perSecond: 3.21,
      p50Ms: undefined,
      p99Ms: 45.67,
      refused: 4,
      errors: 1,
    },
  ],
  notes: ["try: curl http://127.0.0.1:8080/ports"],
};

test("the table lines up", () => {
  assert.deepEqual(renderView(view, 120, false), [
    "Shipping",
    "",
    "service  instances  req/s  p50 ms  p99 ms  refused  errors  pids ",
    "booking          1     12    1.23     123        0       0  11   ",
    "routing     2 of 3    3.2       -    45.7        4       1  12 13",
    "",
    "try: curl http://127.0.0.1:8080/ports",
  ]);
});

test("colours change nothing but the colours, and what does not fit is cut", () => {
  const plain = renderView(view, 40, false);
  const coloured = renderView(view, 40, true);
  assert.deepEqual(coloured.map(stripVTControlCharacters), plain);
  assert.notDeepEqual(coloured, plain);
  for (const line of plain) assert.ok(line.length <= 40);
});

test("a command that is too long goes on in the next line, as a shell takes it", () => {
  const notes = ["  curl http://127.0.0.1:8080/cargos --json '{}' --silent"];
  const lines = renderView({ ...view, notes }, 38, false).slice(-2);
  assert.deepEqual(lines, ["  curl http://127.0.0.1:8080/cargos \\", "    --json '{}' --silent"]);
});

test("the whole table in one plain line", () => {
  assert.equal(renderLine(view), "booking x1 12/s p99 123 err 0 | routing x2 3/s p99 45.7 err 1");
});
