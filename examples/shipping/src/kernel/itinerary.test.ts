import assert from "node:assert/strict";
import { test } from "node:test";
import { finalArrival, itineraryFlaw, type Leg } from "./itinerary.ts";

const leg = (from: string, to: string, loadAt: number, unloadAt: number): Leg => ({
  voyage: "AE1-0001",
  from,
  to,
  loadAt,
  unloadAt,
});

test("a sound itinerary has no flaw and arrives with its last leg", () => {
  const itinerary = [leg("CNSHA", "SGSIN", 1, 2), leg("SGSIN", "NLRTM", 2, 9)];
  assert.equal(itineraryFlaw(itinerary), undefined);
  assert.equal(finalArrival(itinerary), 9);
});

test("what is no journey is told apart", () => {
  assert.match(itineraryFlaw([]) ?? "", /at least one leg/);
  assert.match(itineraryFlaw([leg("CNSHA", "CNSHA", 1, 2)]) ?? "", /ends where it begins/);
  assert.match(itineraryFlaw([leg("CNSHA", "SGSIN", 2, 2)]) ?? "", /before it is loaded/);
  assert.match(itineraryFlaw([leg("CNSHA", "SGSIN", Number.NaN, 2)]) ?? "", /before it is loaded/);
  assert.match(itineraryFlaw([leg("CNSHA", "SGSIN", 1, 2), leg("MYPKG", "NLRTM", 3, 4)]) ?? "", /begins at MYPKG/);
  assert.match(
    itineraryFlaw([leg("CNSHA", "SGSIN", 1, 3), leg("SGSIN", "NLRTM", 2, 4)]) ?? "",
    /leg 2 is loaded before/,
  );
  assert.equal(finalArrival([]), undefined);
});
