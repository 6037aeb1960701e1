import assert from "node:assert/strict";
import { test } from "node:test";
import { isUnLocode } from "../kernel/un-locode.ts";
import { distanceKm } from "./distance.ts";
import { seaPorts } from "./sea-ports.ts";
import { selectPorts } from "./select.ts";

const clean = seaPorts();

test("nearly all real ports survive cleaning, each under its own code", () => {
  assert.ok(clean.ports.length > 1500);
  assert.equal(new Set(clean.ports.map((port) => port.code)).size, clean.ports.length);
  for (const port of clean.ports) {
    assert.ok(isUnLocode(port.code));
    assert.ok(port.name.length > 0 && port.country.length > 0);
  }
});

test("the known mistakes of the data are found, and no more", () => {
  assert.equal(clean.withoutCoordinates.length, 24);
  assert.deepEqual(clean.misplaced, ["BMSOU", "CLCAP"]);
  assert.deepEqual(clean.mended, "ANGSB ARDDC CLJRL CLPGO CLPPD DZAAE ISESK REPDG TNJAR VEGUB".split(" "));
  assert.ok(clean.duplicates.includes("CNSGH"));
});

test("the chosen ports hold the majors first and spread over the rest", () => {
  const majors = ["NLRTM", "SGSIN", "CNSHA", "NLRTM"];
  const chosen = selectPorts(clean.ports, majors, 60);
  assert.deepEqual(
    chosen.slice(0, 3).map((port) => port.code),
    ["NLRTM", "SGSIN", "CNSHA"],
  );
  assert.equal(chosen.length, 60);
  for (const [i, port] of chosen.entries()) {
    for (const other of chosen.slice(0, i))
      assert.ok(distanceKm(port, other) > 500, `${port.code} beside ${other.code}`);
  }
  assert.throws(() => selectPorts(clean.ports, ["XXXXX"], 5), /XXXXX/);
});
