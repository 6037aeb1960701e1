import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { seededRandom } from "../kernel/random.ts";
import { seaPorts } from "../ports/sea-ports.ts";
import { selectPorts } from "../ports/select.ts";
import { generateLines, trunkPorts } from "./domain/generate.ts";
import { openScheduleStore, type Schedule } from "./store.ts";

const folder = mkdtempSync(join(tmpdir(), "shipping-routing-"));
after(() => rmSync(folder, { recursive: true }));

function drawUp(seed: number): Schedule {
  const ports = selectPorts(seaPorts().ports, trunkPorts(), 220);
  return { ports, lines: generateLines(ports, seededRandom(seed)) };
}

test("the first replica draws the schedule up, the others read the same", () => {
  const path = join(folder, "routing.db");
  const first = openScheduleStore(path);
  const second = openScheduleStore(path);
  const drawn = first.schedule(5, () => drawUp(5));
  assert.deepEqual(drawn, drawUp(5));
  const read = second.schedule(5, () => {
    throw new Error("drawn up twice");
  });
  assert.deepEqual(read, drawn);
  assert.deepEqual(
    second.schedule(6, () => drawUp(6)),
    drawUp(6),
  );
  first.close();
  second.close();
});
