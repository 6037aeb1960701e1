import assert from "node:assert/strict";
import { test } from "node:test";
import { Rate } from "./rate.ts";

test("told from the last events, not known before there were enough", () => {
  const rate = new Rate();
  for (let i = 0; i < 15; i++) rate.add(i * 10);
  assert.equal(rate.perMs(150), Infinity);
  rate.add(150);
  assert.equal(rate.perMs(160), 0.1);
  assert.ok(rate.perMs(1000) < 0.02, "it falls while nothing happens");
  for (let i = 0; i < 16; i++) rate.add(1000 + i);
  assert.equal(rate.perMs(1016), 1);
  assert.equal(new Rate().perMs(0), Infinity);
});
