import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { finalArrival, itineraryFlaw } from "../../kernel/itinerary.ts";
import { seededRandom } from "../../kernel/random.ts";
import { dayMs, hourMs, type Instant, weekMs } from "../../kernel/time.ts";
import { seaPorts } from "../../ports/sea-ports.ts";
import { selectPorts } from "../../ports/select.ts";
import { generateLines, trunkPorts } from "./generate.ts";
import { createNetwork, type Network } from "./network.ts";
import { cutOffHours, findRoutes } from "./routes.ts";
import { earliestArrivals, maxLegs, transferHours } from "./search.ts";
import { findVoyage, type Line, movements, timetableEpoch, voyageStart } from "./timetable.ts";

const network = createNetwork(generateLines(selectPorts(seaPorts().ports, trunkPorts(), 300), seededRandom(1)));
const now = Date.UTC(2026, 4, 1);

test("every port can be reached from every other", () => {
  const missing: string[] = [];
  for (const [origin, from] of network.ports.entries()) {
    for (const [destination, to] of network.ports.entries()) {
      // Two of a hundred pairs, a different pair of hundreds for each origin: the whole square takes too long.
      if (origin === destination || (origin * 7 + destination) % 50 !== 0) continue;
      const search = { origin, destination, readyAt: now, deadline: Number.POSITIVE_INFINITY };
      if (earliestArrivals(network, search).length === 0) missing.push(`${from}-${to}`);
    }
  }
  assert.deepEqual(missing, []);
});

test("every route is sailed by real voyages, leaves after the cut-off, keeps the transfers and the deadline", () => {
  const port = fc.constantFrom(...network.ports);
  fc.assert(
    fc.property(
      port,
      port,
      fc.integer({ min: 1, max: 120 }),
      fc.integer({ min: 1, max: 8 }),
      (origin, destination, days, limit) => {
        const deadline = now + days * dayMs;
        const outcome = findRoutes(network, { origin, destination, deadline, limit }, now);
        assert.ok(outcome.kind === "routes" && outcome.routes.length <= limit);
        let before: Instant = now;
        for (const route of outcome.routes) {
          assert.equal(itineraryFlaw(route), undefined);
          assert.equal(route[0]?.from, origin);
          assert.equal(route.at(-1)?.to, destination);
          assert.ok((route[0]?.loadAt ?? 0) >= now + cutOffHours * hourMs);
          assert.ok(route.length <= maxLegs);
          for (const [i, leg] of route.entries()) {
            const voyage = findVoyage(network.byId, leg.voyage);
            assert.ok(voyage);
            const stretch = movements(voyage);
            assert.ok(stretch.some((one) => one.from === leg.from && one.departAt === leg.loadAt));
            assert.ok(stretch.some((one) => one.to === leg.to && one.arriveAt === leg.unloadAt));
            const last = route[i - 1];
            if (last !== undefined) assert.ok(leg.loadAt >= last.unloadAt + transferHours * hourMs);
          }
          const arrival = finalArrival(route) ?? 0;
          assert.ok(arrival <= deadline && arrival >= before, "the earliest first");
          before = arrival;
        }
        assert.equal(new Set(outcome.routes.map((route) => JSON.stringify(route))).size, outcome.routes.length);
      },
    ),
    { numRuns: 150 },
  );
});

test("no way arrives earlier than the one found", () => {
  const port = fc.integer({ min: 0, max: 4 });
  const rotation = fc.record({
    offset: fc.integer({ min: 0, max: 167 }),
    calls: fc.array(fc.tuple(port, fc.integer({ min: 1, max: 90 }), fc.integer({ min: 0, max: 20 })), {
      minLength: 2,
      maxLength: 5,
    }),
  });
  fc.assert(
    fc.property(fc.array(rotation, { minLength: 1, maxLength: 5 }), port, port, (rotations, origin, destination) => {
      const small = createNetwork(rotations.map(({ offset, calls }, i) => line(i, offset, calls)));
      const from = small.numbers.get(String(origin));
      const to = small.numbers.get(String(destination));
      fc.pre(from !== undefined && to !== undefined && from !== to);
      const search = { origin: from, destination: to, readyAt: now, deadline: Number.POSITIVE_INFINITY };
      const found = earliestArrivals(small, search);
      assert.equal(finalArrival(found.at(-1) ?? []), exhaustive(small, from, to));
    }),
    { numRuns: 500 },
  );
});

test("unknown ports are named, and nothing goes from a port to itself", () => {
  const request = { origin: "NLRTM", destination: "SGSIN", deadline: now + 90 * dayMs, limit: 3 };
  assert.deepEqual(findRoutes(network, { ...request, origin: "XXXXX" }, now), {
    kind: "unknown-location",
    location: "XXXXX",
  });
  assert.deepEqual(findRoutes(network, { ...request, destination: "USDEN" }, now), {
    kind: "unknown-location",
    location: "USDEN",
  });
  assert.deepEqual(findRoutes(network, { ...request, destination: "NLRTM" }, now), { kind: "routes", routes: [] });
  assert.deepEqual(findRoutes(network, { ...request, deadline: now + dayMs }, now), { kind: "routes", routes: [] });
});

function line(i: number, offset: number, visits: readonly (readonly [number, number, number])[]): Line {
  let clock = 0;
  const calls = visits.map(([port, sail, stay]) => {
    const arrive = clock + sail;
    clock = arrive + stay;
    return { port: String(port), arrive: arrive * hourMs, depart: clock * hourMs };
  });
  return { id: `L${i}`, carrier: "any", offset: offset * hourMs, calls };
}

/** Earliest arrival by trying every voyage of the next weeks again and again until nothing improves; at most `maxLegs` legs. */
function exhaustive(small: Network, origin: number, destination: number): Instant | undefined {
  const firstWeek = Math.floor((now - timetableEpoch) / weekMs) - 4;
  let arrival = new Map<string, Instant>([[String(small.ports[origin]), now - transferHours * hourMs]]);
  for (let round = 0; round < maxLegs; round++) {
    const next = new Map(arrival);
    for (const { line: sailed } of small.lines) {
      for (let week = firstWeek; week < firstWeek + 20; week++) {
        const start = voyageStart(sailed, week);
        for (const [i, load] of sailed.calls.entries()) {
          const here = arrival.get(load.port);
          if (here === undefined || here + transferHours * hourMs > start + load.depart) continue;
          for (const unload of sailed.calls.slice(i + 1)) {
            next.set(unload.port, Math.min(next.get(unload.port) ?? Number.POSITIVE_INFINITY, start + unload.arrive));
          }
        }
      }
    }
    arrival = next;
  }
  return arrival.get(String(small.ports[destination]));
}
