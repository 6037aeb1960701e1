import assert from "node:assert/strict";
import { test } from "node:test";
import type { HandlingEvent } from "./domain/handling-event.ts";
import { openHandlingStore } from "./store.ts";

const event: HandlingEvent = {
  eventId: "E-1",
  trackingId: "C-1",
  type: "claim",
  location: "NLRTM",
  voyage: undefined,
  completedAt: 5,
  registeredAt: 6,
};

test("an event is found as it was appended, and told once", () => {
  const store = openHandlingStore(":memory:");
  const loaded: HandlingEvent = { ...event, eventId: "E-0", type: "load", voyage: "AE1-0151" };
  assert.notEqual(store.append(loaded), undefined);
  assert.deepEqual(store.find("E-0"), loaded);
  assert.equal(store.append(loaded), undefined);
  assert.equal(store.find("E-9"), undefined);
  assert.equal(store.outbox.count(), 1);
  store.close();
});

test("a cargo is claimed once", () => {
  const store = openHandlingStore(":memory:");
  assert.equal(store.isClaimed("C-1"), false);
  assert.notEqual(store.append(event), undefined);
  assert.equal(store.isClaimed("C-1"), true);
  assert.equal(store.append({ ...event, eventId: "E-2" }), undefined);
  assert.notEqual(store.append({ ...event, eventId: "E-3", trackingId: "C-2" }), undefined);
  store.close();
});
