import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "flotilla/clock";
import { seededRandom } from "../kernel/random.ts";
import { startArrivals } from "./arrivals.ts";

test("as many arrive as the rate says, at uneven times, and none after the stop", async () => {
  const clock = new VirtualClock();
  const times: number[] = [];
  const arrivals = startArrivals(50, seededRandom(1), clock, () => times.push(clock.now()));
  await clock.advance(20_000);
  assert.ok(Math.abs(times.length - 1000) < 100, `${times.length} of 1000`);
  const gaps = times.slice(1).map((time, i) => time - (times[i] ?? 0));
  assert.ok(Math.max(...gaps) > 60 && Math.min(...gaps) < 2);
  arrivals.stop();
  const before = times.length;
  await clock.advance(1000);
  assert.equal(times.length, before);
  assert.equal(clock.pending, 0);
});

test("a rate of zero brings nobody", async () => {
  const clock = new VirtualClock();
  startArrivals(0, seededRandom(1), clock, () => assert.fail("somebody came"));
  assert.equal(clock.pending, 0);
});
