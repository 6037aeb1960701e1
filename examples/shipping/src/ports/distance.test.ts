import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { bearing, type Coordinates, distanceKm, nauticalMiles } from "./distance.ts";

const place = fc.record({
  longitude: fc.double({ min: -180, max: 180, noNaN: true }),
  latitude: fc.double({ min: -90, max: 90, noNaN: true }),
});
const origin: Coordinates = { longitude: 0, latitude: 0 };

test("known distances", () => {
  // From the equator to the pole: a quarter of the meridian.
  assert.ok(Math.abs(distanceKm(origin, { longitude: 77, latitude: 90 }) - 10_007.56) < 0.01);
  // Nashville to Los Angeles, the usual example of the haversine formula: 2887.26 km on a sphere of 6372.8 km.
  const nashville = { longitude: -86.67, latitude: 36.12 };
  const losAngeles = { longitude: -118.4, latitude: 33.94 };
  assert.ok(Math.abs(distanceKm(nashville, losAngeles) - (2887.26 * 6371.0088) / 6372.8) < 0.01);
  // One minute of latitude is a nautical mile, nearly.
  const minute = nauticalMiles(origin, { longitude: 0, latitude: 1 / 60 });
  assert.ok(Math.abs(minute - 1) < 0.005);
  assert.ok(Math.abs(bearing(origin, { longitude: 1, latitude: 0 }) - 90) < 1e-9);
});

test("distance is symmetrical, zero to itself, never over half the globe, and no detour is shorter", () => {
  fc.assert(
    fc.property(place, place, place, (a, b, c) => {
      assert.equal(distanceKm(a, a), 0);
      assert.ok(Math.abs(distanceKm(a, b) - distanceKm(b, a)) < 1e-6);
      assert.ok(distanceKm(a, b) <= 20_016);
      assert.ok(distanceKm(a, c) <= distanceKm(a, b) + distanceKm(b, c) + 1e-3);
    }),
  );
});
