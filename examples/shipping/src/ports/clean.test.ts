import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanPorts, type RawPort } from "./clean.ts";

const at = (name: string, country: string, ...coordinates: number[]): RawPort => ({ name, country, coordinates });
const chile = {
  CLVAP: at("Valparaiso", "Chile", -71.6, -33),
  CLSAI: at("San Antonio", "Chile", -71.6, -33.6),
  CLTAL: at("Talcahuano", "Chile", -73.1, -36.7),
  CLCNL: at("Coronel", "Chile", -73.1, -37),
};

test("entries without coordinates, or with impossible ones, go", () => {
  const { ports, withoutCoordinates } = cleanPorts({
    ...chile,
    CLAAA: { name: "Nowhere", country: "Chile" },
    CLBBB: at("Beyond", "Chile", 190, 0),
    CLCCC: at("Half", "Chile", 10),
  });
  assert.deepEqual(withoutCoordinates, ["CLAAA", "CLBBB", "CLCCC"]);
  assert.equal(ports.length, 4);
});

test("of two entries of one port the current code stays", () => {
  const shanghai = { ...at("Shanghai", "China", 121.5, 31.2), unlocs: ["CNSHA", "CNSGH"] };
  const { ports, duplicates } = cleanPorts({
    CNSGH: shanghai,
    CNSHA: shanghai,
    KRICH: at("Incheon", "South Korea", 126.6, 37.5),
    KRINC: at("Incheon", "South Korea", 126.7, 37.5),
  });
  assert.deepEqual(
    ports.map((port) => port.code),
    ["CNSHA", "KRICH"],
  );
  assert.deepEqual(duplicates, ["CNSGH", "KRINC"]);
});

test("swapped coordinates are mended where the country says so", () => {
  const { ports, mended } = cleanPorts({ ...chile, CLJRL: at("Jureles", "Chile", -36.97, -73.23) });
  assert.deepEqual(mended, ["CLJRL"]);
  assert.equal(ports.find((port) => port.code === "CLJRL")?.latitude, -36.97);
});

test("a far island stays where it is, a namesake's place goes", () => {
  const { ports, misplaced } = cleanPorts({
    ...chile,
    CLIPC: at("Isla de Pascua", "Chile", -109.4, -27.15),
    CLXXX: at("Santander", "Chile", -3.8, 43.4),
    ESSDR: at("Santander", "Spain", -3.8, 43.4),
  });
  assert.deepEqual(misplaced, ["CLXXX"]);
  assert.ok(ports.some((port) => port.code === "CLIPC"));
});
