import assert from "node:assert/strict";
import { test } from "node:test";
import { exportsViolations, packedViolations, versionViolations } from "./package-rules.ts";

const a = { "@flotilla/source": "./src/a/index.ts", types: "./dist/a/index.d.ts", default: "./dist/a/index.js" };
const manifest = { name: "a", version: "1.0.0", files: ["dist", "src", "!**/*.test.ts"], exports: { "./a": a } };
const packed = [
  "package.json",
  "README.md",
  "LICENSE",
  "dist/a/index.js",
  "dist/a/index.d.ts",
  "dist/a/index.js.map",
  "src/a/index.ts",
];

test("a complete package passes", () => {
  assert.deepEqual(exportsViolations(manifest, ["src/a/index.ts"]), []);
  assert.deepEqual(packedViolations(manifest, packed), []);
});

test("holes in the exports map are found", () => {
  assert.match(exportsViolations(manifest, [])[0] ?? "", /names \.\/src\/a\/index\.ts, which does not exist/);
  assert.match(
    exportsViolations(manifest, ["src/a/index.ts", "src/b/index.ts"])[0] ?? "",
    /src\/b\/index\.ts is a public face/,
  );
  const { types, ...rest } = a;
  for (const wrong of [rest, { ...rest, types }, { ...a, default: "./dist/b/index.js" }, "./dist/a/index.js"]) {
    const found = exportsViolations({ ...manifest, exports: { "./a": wrong } }, ["src/a/index.ts"]);
    assert.match(found[0] ?? "", /exports\["\.\/a"\] must be/, JSON.stringify(wrong));
  }
});

test("what must not be published, or is missing, is found", () => {
  for (const path of ["src/a/b.test.ts", "dist/a/b.test.js", "src/a/b.type-test.ts", "src/a/test-fixtures/b.ts"]) {
    assert.match(packedViolations(manifest, [...packed, path])[0] ?? "", /is a test and would be published/, path);
  }
  assert.match(packedViolations(manifest, [...packed, ".env"])[0] ?? "", /\.env would be published/);
  for (const path of ["README.md", "dist/a/index.d.ts", "src/a/index.ts"]) {
    const found = packedViolations(
      manifest,
      packed.filter((other) => other !== path),
    ).join("\n");
    assert.ok(found.includes(path), `${path}: ${found}`);
  }
  assert.match(packedViolations({ ...manifest, files: ["dist", "src", "bin"] }, packed)[0] ?? "", /files lists bin/);
});

test("packages that are published together have one version, and ask for it", () => {
  const adapter = { ...manifest, name: "@a/b", peerDependencies: { a: "1.0.0" } };
  assert.deepEqual(versionViolations([manifest, adapter]), []);
  assert.match(
    versionViolations([manifest, { ...adapter, version: "1.0.1" }])[0] ?? "",
    /@a\/b is 1\.0\.1, and a 1\.0\.0/,
  );
  for (const peerDependencies of [{}, { a: "1.0.1" }]) {
    assert.match(
      versionViolations([manifest, { ...adapter, peerDependencies }])[0] ?? "",
      /must have the peer dependency a 1\.0\.0/,
    );
  }
});
