import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Itinerary } from "../../kernel/itinerary.ts";
import { seededRandom } from "../../kernel/random.ts";
import { assignItinerary, bookCargo, type Cargo, changeDestination, routingStatus } from "./cargo.ts";
import type { RouteSpecification } from "./route-specification.ts";
import { newTrackingId } from "./tracking-id.ts";

const now = 1_000;
const served = new Set(["HKHKG", "SGSIN", "NLRTM", "DEHAM"]);
const facts = { trackingId: "C-1", isServed: (location: string) => served.has(location), now };
const specification: RouteSpecification = { origin: "HKHKG", destination: "NLRTM", deadline: 9_000 };
const itinerary: Itinerary = [
  { voyage: "SA2-0150", from: "HKHKG", to: "SGSIN", loadAt: 2_000, unloadAt: 3_000 },
  { voyage: "AE1-0151", from: "SGSIN", to: "NLRTM", loadAt: 4_000, unloadAt: 8_000 },
];

function booked(): Cargo {
  const outcome = bookCargo(specification, facts);
  assert.ok(outcome.kind === "booked");
  return outcome.cargo;
}

function routed(): Cargo {
  const outcome = assignItinerary(booked(), itinerary);
  assert.ok(outcome.kind === "assigned");
  return outcome.cargo;
}

test("a booked cargo has no route yet", () => {
  const cargo = booked();
  assert.deepEqual(cargo, { trackingId: "C-1", specification, itinerary: undefined, bookedAt: now, version: 1 });
  assert.equal(routingStatus(cargo), "not_routed");
});

test("what cannot be booked is told apart", () => {
  const refuse = (change: Partial<RouteSpecification>) => bookCargo({ ...specification, ...change }, facts);
  assert.deepEqual(refuse({ origin: "XXXXX" }), { kind: "unknown-location", location: "XXXXX" });
  assert.deepEqual(refuse({ destination: "USDEN" }), { kind: "unknown-location", location: "USDEN" });
  assert.deepEqual(refuse({ destination: "HKHKG" }), { kind: "same-origin-and-destination" });
  assert.deepEqual(refuse({ deadline: now }), { kind: "deadline-past" });
  assert.deepEqual(refuse({ deadline: Number.NaN }), { kind: "deadline-past" });
});

test("an itinerary that does what was asked is assigned, and once only", () => {
  const cargo = routed();
  assert.equal(routingStatus(cargo), "routed");
  assert.equal(cargo.version, 2);
  assert.deepEqual(assignItinerary(cargo, structuredClone(itinerary)), { kind: "assigned", cargo });
  const [first, second] = itinerary;
  assert.ok(first && second);
  const other = assignItinerary(cargo, [first, { ...second, unloadAt: 8_500 }]);
  assert.ok(other.kind === "assigned" && other.cargo.version === 3);
});

test("an itinerary that does not is refused with the reason", () => {
  const [first, second] = itinerary;
  assert.ok(first && second);
  const reasons: [Itinerary, RegExp][] = [
    [[], /at least one leg/],
    [[second], /begins at SGSIN/],
    [[first], /ends at SGSIN/],
    [[first, { ...second, unloadAt: 9_001 }], /after the deadline/],
    [[first, { ...second, from: "DEHAM" }], /begins at DEHAM, but/],
  ];
  for (const [bad, reason] of reasons) {
    const outcome = assignItinerary(booked(), bad);
    assert.ok(outcome.kind === "unfit-itinerary");
    assert.match(outcome.reason, reason);
  }
});

test("a new destination leaves the cargo misrouted until it gets another itinerary", () => {
  const outcome = changeDestination(routed(), "DEHAM", facts);
  assert.ok(outcome.kind === "changed");
  assert.equal(routingStatus(outcome.cargo), "misrouted");
  const [first, second] = itinerary;
  assert.ok(first && second);
  const rerouted = assignItinerary(outcome.cargo, [first, { ...second, to: "DEHAM" }]);
  assert.ok(rerouted.kind === "assigned");
  assert.equal(routingStatus(rerouted.cargo), "routed");
  assert.deepEqual(changeDestination(outcome.cargo, "DEHAM", facts), { kind: "changed", cargo: outcome.cargo });
  assert.deepEqual(changeDestination(routed(), "HKHKG", facts), { kind: "same-origin-and-destination" });
  assert.deepEqual(changeDestination(routed(), "XXXXX", facts), { kind: "unknown-location", location: "XXXXX" });
});

test("no outcome is ever thrown, and a booked cargo always goes somewhere else in the future", () => {
  const location = fc.oneof(fc.constantFrom(...served), fc.string());
  const anyTime = fc.oneof(fc.integer(), fc.constant(Number.NaN));
  fc.assert(
    fc.property(location, location, anyTime, (origin, destination, deadline) => {
      const outcome = bookCargo({ origin, destination, deadline }, facts);
      if (outcome.kind !== "booked") return;
      assert.notEqual(origin, destination);
      assert.ok(served.has(origin) && served.has(destination) && deadline > now);
    }),
  );
});

test("tracking ids are readable and do not repeat", () => {
  const random = seededRandom(1);
  const ids = Array.from({ length: 10_000 }, () => newTrackingId(random));
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^C-[0-9A-HJKMNP-TV-Z]{10}$/);
});
