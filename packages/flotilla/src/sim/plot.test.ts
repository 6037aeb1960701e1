import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { plot } from "./plot.ts";

const all = (svg: string, pattern: RegExp): string[] => Array.from(svg.matchAll(pattern), (match) => match[1]!);
const texts = (svg: string): string[] => all(svg, /<text[^>]*>([^<]*)</g);
const lines = (svg: string): number[][][] =>
  all(svg, /<polyline points="([^"]*)"/g).map((points) =>
    points.split(" ").map((point) => point.split(",").map(Number)),
  );

/** Every element that is opened is closed, in order. */
function wellFormed(svg: string): void {
  const open: string[] = [];
  for (const [, end, name, alone] of svg.matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g)) {
    if (end === "/") assert.equal(open.pop(), name);
    else if (alone !== "/") open.push(name!);
  }
  assert.deepEqual(open, []);
}

describe("lines", () => {
  const svg = plot(
    "a <title> & more",
    [
      {
        title: "Served",
        unit: "calls/s",
        mark: { name: "capacity", at: 100 },
        lines: [
          { name: "naive", values: [0, 50, 100, 150] },
          { name: "ours", values: [0, 200, Infinity, 100] },
        ],
      },
      { title: "Waiting", unit: "calls", intervalMs: 500, max: 10, lines: [{ name: "queue", values: [5, 1000] }] },
    ],
    1000,
  );

  test("one each, over the whole width, from the bottom to the top of what there is or may be", () => {
    wellFormed(svg);
    const [naive, ours, queue] = lines(svg) as [number[][], number[][], number[][]];
    assert.deepEqual([naive.length, ours.length, queue.length], [4, 4, 2]);
    const y = (line: number[][]): number[] => line.map((point) => point[1]!);
    const x = (line: number[][]): number[] => line.map((point) => point[0]!);
    assert.deepEqual([x(naive)[0], x(naive).at(-1)], [x(queue)[0], x(queue)[1]]);
    const [bottom, top] = [y(ours)[0]!, y(ours)[1]!];
    assert.ok(bottom > top);
    assert.equal(y(naive)[2], (bottom + top) / 2, "100 of 200");
    assert.equal(y(ours)[2], top, "what never ends is at the top");
    assert.deepEqual(y(queue), [(bottom + top) / 2, top], "what is above the maximum is cut off");
  });

  test("with their names, units, seconds, and the mark", () => {
    const told = texts(svg);
    for (const text of ["a &lt;title&gt; &amp; more", "Served", "naive", "ours", "capacity", "calls/s", "200", "4 s"]) {
      assert.ok(told.includes(text), text);
    }
    assert.ok(told.includes("1 s"), "two intervals of 500 ms");
  });

  test("of nothing are an empty panel", () => {
    const empty = plot("nothing", [{ title: "None", unit: "", lines: [{ name: "none", values: [] }] }], 1000);
    wellFormed(empty);
    assert.doesNotMatch(empty, /NaN|Infinity/);
  });
});

test("grids have a cell for each value, bad ones in another colour", () => {
  const svg = plot(
    "grid",
    [
      {
        title: "Seconds to recovery",
        unit: "s",
        columns: ["2x 1 s", "half 60 s"],
        rows: [
          { name: "50 %", values: [0, 10] },
          { name: "90 %", values: [11, Infinity] },
        ],
        limit: 10,
      },
    ],
    1000,
  );
  wellFormed(svg);
  const told = texts(svg);
  for (const text of ["50 %", "90 %", "2x", "1 s", "half", "60 s", "0 s", "10 s", "11 s", "never"]) {
    assert.ok(told.includes(text), text);
  }
  const colours = all(svg, /<rect x="[^>]*fill="([^"]*)" fill-opacity/g);
  assert.equal(colours.length, 4);
  assert.equal(colours[0], colours[1]);
  assert.equal(colours[2], colours[3]);
  assert.notEqual(colours[1], colours[2]);
});
