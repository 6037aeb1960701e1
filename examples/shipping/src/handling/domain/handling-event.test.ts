import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { dayMs } from "../../kernel/time.ts";
import {
  concernsVoyage,
  type HandlingFacts,
  type HandlingReport,
  handlingTypes,
  plausibleDays,
  registerHandling,
} from "./handling-event.ts";

const now = Date.UTC(2026, 4, 1);
const report: HandlingReport = {
  eventId: "E-1",
  trackingId: "C-1",
  type: "load",
  location: "SGSIN",
  voyage: "AE1-0151",
  completedAt: now + dayMs,
};
const facts: HandlingFacts = {
  known: undefined,
  cargoExists: true,
  locationExists: true,
  voyageCalls: ["SGSIN", "NLRTM"],
  claimed: false,
  now,
};

test("a sound report is registered", () => {
  assert.deepEqual(registerHandling(report, facts), { kind: "registered", event: { ...report, registeredAt: now } });
});

test("the same report again is the same event; another one under its id is refused", () => {
  const known = { ...report, registeredAt: now - 5 };
  assert.deepEqual(registerHandling(report, { ...facts, known }), { kind: "already-registered", event: known });
  const other = { ...report, location: "NLRTM" };
  assert.deepEqual(registerHandling(other, { ...facts, known }), { kind: "conflicting-event", eventId: "E-1" });
});

test("an event stays registered even when the world would refuse it now", () => {
  const known = { ...report, registeredAt: now };
  const outcome = registerHandling(report, { ...facts, known, claimed: true, voyageCalls: undefined });
  assert.equal(outcome.kind, "already-registered");
});

test("what is wrong with a report is told apart", () => {
  const refuse = (changes: Partial<HandlingReport>, world: Partial<HandlingFacts> = {}) =>
    registerHandling({ ...report, ...changes }, { ...facts, ...world });
  assert.deepEqual(refuse({ voyage: undefined }), { kind: "voyage-required", type: "load" });
  assert.deepEqual(refuse({ type: "claim" }), { kind: "voyage-not-allowed", type: "claim" });
  assert.deepEqual(refuse({ completedAt: Number.NaN }), { kind: "implausible-time" });
  assert.deepEqual(refuse({ completedAt: now + (plausibleDays + 1) * dayMs }), { kind: "implausible-time" });
  assert.deepEqual(refuse({}, { cargoExists: false }), { kind: "unknown-cargo", trackingId: "C-1" });
  assert.deepEqual(refuse({}, { locationExists: false }), { kind: "unknown-location", location: "SGSIN" });
  assert.deepEqual(refuse({}, { voyageCalls: undefined }), { kind: "unknown-voyage", voyage: "AE1-0151" });
  assert.deepEqual(refuse({ location: "HKHKG" }), { kind: "not-a-call", location: "HKHKG", voyage: "AE1-0151" });
  assert.deepEqual(refuse({}, { claimed: true }), { kind: "already-claimed", trackingId: "C-1" });
});

test("whatever is registered concerns a known cargo, at a call of its voyage if it has one", () => {
  const anyReport = fc.record({
    eventId: fc.string(),
    trackingId: fc.string(),
    type: fc.constantFrom(...handlingTypes),
    location: fc.constantFrom("SGSIN", "NLRTM", "HKHKG"),
    voyage: fc.option(fc.constantFrom("AE1-0151"), { nil: undefined }),
    completedAt: fc.integer({ min: now - 3 * plausibleDays * dayMs, max: now + 3 * plausibleDays * dayMs }),
  });
  const anyFacts = fc.record({
    known: fc.constant(undefined),
    cargoExists: fc.boolean(),
    locationExists: fc.boolean(),
    voyageCalls: fc.option(fc.constant<readonly string[]>(["SGSIN", "NLRTM"]), { nil: undefined }),
    claimed: fc.boolean(),
    now: fc.constant(now),
  });
  fc.assert(
    fc.property(anyReport, anyFacts, (reported, world) => {
      const outcome = registerHandling(reported, world);
      if (outcome.kind !== "registered") return;
      assert.ok(world.cargoExists && world.locationExists && !world.claimed);
      assert.equal(concernsVoyage(reported.type), reported.voyage !== undefined);
      if (reported.voyage !== undefined) assert.ok(world.voyageCalls?.includes(reported.location));
      assert.deepEqual(registerHandling(reported, { ...world, known: outcome.event }).kind, "already-registered");
    }),
  );
});
