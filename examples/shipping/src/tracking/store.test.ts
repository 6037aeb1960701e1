import assert from "node:assert/strict";
import { test } from "node:test";
import type { TrackedCargo } from "./domain/tracked-cargo.ts";
import { openTrackingStore } from "./store.ts";

const cargo: TrackedCargo = {
  trackingId: "C-1",
  origin: "HKHKG",
  destination: "NLRTM",
  deadline: 9_000,
  itinerary: undefined,
  version: 1,
};
const routed: TrackedCargo = {
  ...cargo,
  itinerary: [{ voyage: "AE1-0151", from: "HKHKG", to: "NLRTM", loadAt: 4_000, unloadAt: 8_000 }],
  version: 2,
};

test("of booking's decisions the latest holds, in whatever order they come", () => {
  const store = openTrackingStore(":memory:");
  assert.equal(store.findCargo("C-1"), undefined);
  store.keepCargo(routed);
  store.keepCargo(cargo);
  store.keepCargo(routed);
  assert.deepEqual(store.findCargo("C-1"), routed);
  store.close();
});

test("events are kept once, even before the cargo is known", () => {
  const store = openTrackingStore(":memory:");
  const event = { eventId: "E-1", type: "load", location: "HKHKG", voyage: "AE1-0151", completedAt: 5 } as const;
  store.keepEvent("C-1", event);
  store.keepEvent("C-1", event);
  store.keepEvent("C-2", { ...event, type: "claim", voyage: undefined });
  assert.deepEqual(store.events("C-1"), [event]);
  assert.deepEqual(store.events("C-2")[0]?.voyage, undefined);
  store.close();
});
