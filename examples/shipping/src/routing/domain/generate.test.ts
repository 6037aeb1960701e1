import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../kernel/random.ts";
import { dayMs, weekMs } from "../../kernel/time.ts";
import { seaPorts } from "../../ports/sea-ports.ts";
import { selectPorts } from "../../ports/select.ts";
import { generateLines, trunkPorts } from "./generate.ts";
import { passages } from "./passages.ts";
import { rotations } from "./rotations.ts";

const ports = selectPorts(seaPorts().ports, trunkPorts(), 300);
const lines = generateLines(ports, seededRandom(1));

test("the same seed gives the same lines, another seed others", () => {
  assert.deepEqual(generateLines(ports, seededRandom(1)), lines);
  assert.notDeepEqual(generateLines(ports, seededRandom(2)), lines);
});

test("every port is called at, and ids are unique", () => {
  const called = new Set(lines.flatMap((line) => line.calls.map((call) => call.port)));
  assert.deepEqual(
    ports.filter((port) => !called.has(port.code)),
    [],
  );
  assert.equal(new Set(lines.map((line) => line.id)).size, lines.length);
});

test("every line is a round trip whose time only goes forward", () => {
  for (const { id, calls, offset } of lines) {
    assert.ok(offset >= 0 && offset < weekMs);
    assert.equal(calls[0]?.port, calls.at(-1)?.port, id);
    assert.equal(calls[0]?.depart, 0, id);
    for (const [i, call] of calls.entries()) {
      assert.ok(call.arrive <= call.depart, id);
      const before = calls[i - 1];
      if (before === undefined) continue;
      assert.ok(before.depart < call.arrive || before.port === call.port, `${id}: ${before.port} to ${call.port}`);
      assert.notEqual(before.port, call.port, id);
    }
    const days = (calls.at(-1)?.arrive ?? 0) / dayMs;
    assert.ok(days > 0.5 && days < 90, `${id} takes ${days} days`);
  }
});

test("every passage is used, and every call of a rotation is a port or a passage", () => {
  const stops = new Set(rotations.flatMap((rotation) => rotation.calls.split(/\s+/)));
  for (const name of Object.keys(passages)) assert.ok(stops.has(name), name);
  for (const stop of stops) if (stop.startsWith("@")) assert.ok(passages[stop], stop);
});
