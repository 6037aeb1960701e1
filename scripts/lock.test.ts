import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { lockDifferences } from "./lock.mjs";

type Packages = Record<string, Record<string, unknown>>;

const locked: Packages = {
  "": {},
  "packages/x": {},
  "node_modules/x": { resolved: "packages/x", link: true },
  "node_modules/a": { version: "1.0.0", integrity: "sha512-a" },
  "node_modules/a/node_modules/b": { version: "2.0.0", integrity: "sha512-b" },
  "node_modules/other-platform": { version: "1.0.0", optional: true },
};

/** A workspace with this lockfile, in which the given packages are installed. */
function differences(installed: Packages | undefined, onDisk: string[] = Object.keys(installed ?? {})): string[] {
  const root = mkdtempSync(join(tmpdir(), "flotilla-lock-"));
  try {
    for (const path of onDisk) mkdirSync(join(root, path), { recursive: true });
    writeFileSync(join(root, "package-lock.json"), JSON.stringify({ packages: locked }));
    if (installed !== undefined) {
      mkdirSync(join(root, "node_modules"), { recursive: true });
      writeFileSync(join(root, "node_modules/.package-lock.json"), JSON.stringify({ packages: installed }));
    }
    return lockDifferences(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

test("what is installed as locked has no differences; packages for other platforms may be absent", () => {
  const { "": _root, "node_modules/other-platform": _other, ...installed } = locked;
  assert.deepEqual(differences(installed), []);
  assert.deepEqual(differences(locked), []);
});

test("every difference is found", () => {
  const { "node_modules/a": a, ...withoutA } = locked;
  const paths = Object.keys(locked);
  assert.deepEqual(differences(undefined), ["node_modules is missing or incomplete"]);
  assert.deepEqual(differences(withoutA, paths), ["node_modules/a is not installed"]);
  assert.deepEqual(differences({ ...locked, "node_modules/a": { ...a, version: "1.0.1" } }), [
    "node_modules/a is 1.0.1, locked is 1.0.0",
  ]);
  assert.match(
    differences({ ...locked, "node_modules/a": { ...a, integrity: "sha512-c" } })[0] ?? "",
    /node_modules\/a is/,
  );
  assert.match(
    differences({ ...locked, "node_modules/c": { version: "1.0.0" } })[0] ?? "",
    /node_modules\/c is installed but not/,
  );
  assert.deepEqual(
    differences(
      locked,
      paths.filter((path) => !path.startsWith("node_modules/a")),
    ).length,
    2,
  );
});
