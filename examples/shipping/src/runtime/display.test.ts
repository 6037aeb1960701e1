import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { VirtualClock } from "flotilla/clock";
import { plainDisplay, terminalDisplay } from "./display.ts";

const view = { title: "Shipping", rows: [], notes: ["customers: 1 came"] };

test("where there is no terminal, lines are written as they come and the table every five seconds", async () => {
  const clock = new VirtualClock();
  let text = "";
  const display = plainDisplay({ write: (part) => (text += part) }, clock);
  const row = {
    name: "booking",
    instances: 1,
    wanted: 1,
    pids: [],
    perSecond: 2,
    p50Ms: 1,
    p99Ms: 1,
    refused: 0,
    errors: 0,
  };
  display.say("hello");
  for (let i = 0; i < 12; i++) {
    display.show({ ...view, rows: [row] });
    await clock.advance(500);
  }
  assert.equal(text, `hello\n${"booking x1 2/s p99 1.00 err 0\n".repeat(2)}`);
});

test("on a terminal the last things said stand under the table, and never more than fit", () => {
  let text = "";
  const out = { write: (part: string) => (text += part), columns: 60, rows: 12, hasColors: () => false };
  const display = terminalDisplay(out as unknown as NodeJS.WriteStream, new VirtualClock());
  for (let i = 1; i <= 9; i++) display.say(`thing ${i}`);
  display.show(view);
  const lines = stripVTControlCharacters(text).trimEnd().split("\n");
  assert.ok(lines.length <= 11);
  assert.equal(lines[0], "Shipping");
  assert.ok(!text.includes("thing 3") && text.includes("thing 4"));
});
