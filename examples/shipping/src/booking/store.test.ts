import assert from "node:assert/strict";
import { test } from "node:test";
import type { Cargo } from "./domain/cargo.ts";
import { openCargoStore } from "./store.ts";

const cargo: Cargo = {
  trackingId: "C-1",
  specification: { origin: "HKHKG", destination: "NLRTM", deadline: 9_000 },
  itinerary: undefined,
  bookedAt: 1_000,
  version: 1,
};
const routed: Cargo = {
  ...cargo,
  itinerary: [{ voyage: "AE1-0151", from: "HKHKG", to: "NLRTM", loadAt: 4_000, unloadAt: 8_000 }],
  version: 2,
};

test("a cargo is found as it was saved, with a message for each change", () => {
  const store = openCargoStore(":memory:");
  assert.equal(store.find("C-1"), undefined);
  const id = store.save(cargo, "cargo-booked");
  assert.deepEqual(store.find("C-1"), cargo);
  store.save(routed, "cargo-routed");
  assert.deepEqual(store.find("C-1"), routed);
  assert.deepEqual(
    store.outbox.pending(10).map((message) => message.topic),
    ["cargo-booked", "cargo-routed"],
  );
  assert.deepEqual(JSON.parse(store.outbox.find(id ?? 0)?.body ?? ""), JSON.parse(JSON.stringify(cargo)));
  store.close();
});

test("of two changes from the same version the second is refused, and tells nobody", () => {
  const store = openCargoStore(":memory:");
  store.save(cargo, "cargo-booked");
  assert.notEqual(store.save(routed, "cargo-routed"), undefined);
  assert.equal(store.save({ ...routed, itinerary: undefined }, "cargo-routed"), undefined);
  assert.equal(store.save(cargo, "cargo-booked"), undefined);
  assert.deepEqual(store.find("C-1"), routed);
  assert.equal(store.outbox.count(), 2);
  store.close();
});
