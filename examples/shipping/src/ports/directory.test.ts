import assert from "node:assert/strict";
import { test } from "node:test";
import { searchPorts } from "./directory.ts";
import type { Port } from "./port.ts";

const port = (code: string, name: string, country: string): Port => ({
  code,
  name,
  country,
  longitude: 0,
  latitude: 0,
});
const ports = [
  port("NLRTM", "Rotterdam", "Netherlands"),
  port("DEHAM", "Hamburg", "Germany"),
  port("DEBRV", "Bremerhaven", "Germany"),
  port("NLAMS", "Amsterdam", "Netherlands"),
];
const search = (query: string | undefined, country: string | undefined, limit = 10) =>
  searchPorts(ports, { query, country, limit }).map(({ code }) => code);

test("ports are found by part of their name or code, and by country", () => {
  assert.deepEqual(search("dam", undefined), ["NLAMS", "NLRTM"]);
  assert.deepEqual(search("HAM", undefined), ["DEHAM"]);
  assert.deepEqual(search("am", undefined), ["NLAMS", "DEHAM", "NLRTM"]);
  assert.deepEqual(search(undefined, "de"), ["DEBRV", "DEHAM"]);
  assert.deepEqual(search(undefined, "Netherlands"), ["NLAMS", "NLRTM"]);
  assert.deepEqual(search(undefined, undefined, 1), ["NLAMS"]);
  assert.deepEqual(search("xyz", undefined), []);
});
