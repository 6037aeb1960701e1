import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { finalArrival, type Itinerary } from "../../kernel/itinerary.ts";
import { deliveryOf } from "./delivery.ts";
import { inOrder, type TrackedEvent } from "./history.ts";

const plan: Itinerary = [
  { voyage: "SA2-0150", from: "HKHKG", to: "SGSIN", loadAt: 2_000, unloadAt: 3_000 },
  { voyage: "AE1-0151", from: "SGSIN", to: "NLRTM", loadAt: 4_000, unloadAt: 8_000 },
];
const destination = "NLRTM";

const event = (type: TrackedEvent["type"], location: string, completedAt: number, voyage?: string): TrackedEvent => ({
  eventId: `${type}-${location}-${completedAt}`,
  type,
  location,
  voyage,
  completedAt,
});

/** Everything that happens to a cargo that goes to plan. */
function journey(itinerary: Itinerary): TrackedEvent[] {
  const first = itinerary[0];
  const last = itinerary.at(-1);
  if (first === undefined || last === undefined) return [];
  return [
    event("receive", first.from, first.loadAt - 1),
    ...itinerary.flatMap(({ from, to, loadAt, unloadAt, voyage }) => [
      event("load", from, loadAt, voyage),
      event("unload", to, unloadAt, voyage),
    ]),
    event("customs", last.to, last.unloadAt + 1),
    event("claim", last.to, last.unloadAt + 2),
  ];
}

const planned = journey(plan);
const after = (count: number) => deliveryOf({ destination, itinerary: plan, events: planned.slice(0, count) });

test("before anything happened", () => {
  assert.deepEqual(after(0), {
    transport: "not_received",
    lastKnownLocation: undefined,
    currentVoyage: undefined,
    misdirected: false,
    eta: 8_000,
    nextExpected: { type: "receive", location: "HKHKG", voyage: undefined },
    arrived: false,
    lastEvent: undefined,
  });
  const unrouted = deliveryOf({ destination, itinerary: undefined, events: [] });
  assert.equal(unrouted.eta, undefined);
  assert.equal(unrouted.nextExpected, undefined);
});

test("a journey to plan, step by step", () => {
  const steps = Array.from({ length: planned.length + 1 }, (_, i) => after(i));
  assert.deepEqual(
    steps.map((step) => step.transport),
    ["not_received", "in_port", "on_board", "in_port", "on_board", "in_port", "in_port", "claimed"],
  );
  assert.deepEqual(
    steps.map((step) => step.nextExpected && `${step.nextExpected.type} ${step.nextExpected.location}`),
    [
      "receive HKHKG",
      "load HKHKG",
      "unload SGSIN",
      "load SGSIN",
      "unload NLRTM",
      "claim NLRTM",
      "claim NLRTM",
      undefined,
    ],
  );
  assert.equal(steps[2]?.currentVoyage, "SA2-0150");
  assert.deepEqual(
    steps.map((step) => step.arrived),
    [false, false, false, false, false, true, true, true],
  );
});

test("a cargo unloaded in the wrong port, or loaded on the wrong ship, is misdirected until it is rerouted", () => {
  const wrongPort = [...planned.slice(0, 2), event("unload", "LKCMB", 3_500, "SA2-0150")];
  const lost = deliveryOf({ destination, itinerary: plan, events: wrongPort });
  assert.equal(lost.misdirected, true);
  assert.equal(lost.lastKnownLocation, "LKCMB");
  assert.equal(lost.eta, undefined);
  assert.equal(lost.nextExpected, undefined);
  const wrongShip = [...planned.slice(0, 1), event("load", "HKHKG", 2_000, "TP1-0150")];
  assert.equal(deliveryOf({ destination, itinerary: plan, events: wrongShip }).misdirected, true);
  const rerouted: Itinerary = [{ voyage: "TP1-0150", from: "HKHKG", to: "NLRTM", loadAt: 2_000, unloadAt: 9_000 }];
  const found = deliveryOf({ destination, itinerary: rerouted, events: wrongShip });
  assert.equal(found.misdirected, false);
  assert.equal(found.eta, 9_000);
});

const leg = fc.record({ voyage: fc.integer({ min: 0, max: 9_999 }), days: fc.integer({ min: 1, max: 40 }) });
const anyItinerary = fc.array(leg, { minLength: 1, maxLength: 6 }).map((legs) => {
  let clock = 1_000;
  return legs.map(({ voyage, days }, i) => {
    const loadAt = clock + 10;
    clock = loadAt + days * 10;
    return { voyage: `V${i}-${voyage}`, from: `PORT${i}`, to: `PORT${i + 1}`, loadAt, unloadAt: clock };
  });
});

test("whoever follows the plan is never misdirected, and what was expected is what happens next", () => {
  fc.assert(
    fc.property(anyItinerary, (itinerary) => {
      const events = journey(itinerary);
      for (const [i, next] of events.entries()) {
        const delivery = deliveryOf({ destination: itinerary.at(-1)?.to ?? "", itinerary, events: events.slice(0, i) });
        assert.equal(delivery.misdirected, false);
        assert.equal(delivery.eta, finalArrival(itinerary));
        if (next.type === "customs") continue;
        const { type, location, voyage } = next;
        assert.deepEqual(delivery.nextExpected, { type, location, voyage });
      }
    }),
  );
});

test("neither the order in which events are heard of nor repetition matters", () => {
  const shuffled = anyItinerary.chain((itinerary) => {
    const events = journey(itinerary);
    return fc.tuple(
      fc.constant(itinerary),
      fc
        .subarray(events)
        .chain((part) =>
          fc.shuffledSubarray([...part, ...part], { minLength: part.length, maxLength: 2 * part.length }),
        ),
    );
  });
  fc.assert(
    fc.property(shuffled, ([itinerary, events]) => {
      const sources = { destination: itinerary.at(-1)?.to ?? "", itinerary };
      assert.deepEqual(deliveryOf({ ...sources, events }), deliveryOf({ ...sources, events: inOrder(events) }));
    }),
  );
});
