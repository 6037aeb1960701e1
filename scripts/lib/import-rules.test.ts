import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { lengthViolations } from "./file-length.ts";
import { importViolations } from "./import-rules.ts";
import { findCycles, importsOf, readSources, type SourceFile } from "./module-graph.ts";

const src = "packages/flotilla/src";

/** Writes the given files to a temporary workspace and reads them back as sources. */
function workspace(files: Record<string, string>): { root: string; sources: SourceFile[]; [Symbol.dispose](): void } {
  const root = mkdtempSync(join(tmpdir(), "flotilla-imports-"));
  const all = {
    "packages/flotilla/package.json": '{"dependencies": {"undici": "1.0.0"}, "devDependencies": {"zod": "1.0.0"}}',
    "packages/nats/package.json": '{"dependencies": {"nats": "1.0.0"}, "peerDependencies": {"flotilla": "1.0.0"}}',
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const sources = readSources(root, ["packages/**/*.ts", "examples/**/*.ts", "bench/**/*.ts", "scripts/**/*.ts"]);
  return { root, sources, [Symbol.dispose]: () => rmSync(root, { recursive: true }) };
}

function violations(files: Record<string, string>): string[] {
  using made = workspace(files);
  return importViolations(made.root, made.sources);
}

/** One file that imports another (which exists): the violations of that one import. */
function importing(from: string, specifier: string, existing: string): string[] {
  return violations({ [from]: `import { a } from "${specifier}";\n`, [existing]: "export const a = 1;\n" });
}

test("what the rules allow passes", () => {
  const allowed: [from: string, specifier: string, existing: string][] = [
    [`${src}/context/a.ts`, "../errors/b.ts", `${src}/errors/b.ts`],
    [`${src}/transport/http/a.ts`, "../../codec/b.ts", `${src}/codec/b.ts`],
    [`${src}/transport/http/a.ts`, "./b.ts", `${src}/transport/http/b.ts`],
    [`${src}/balance/a.ts`, "undici", `${src}/balance/b.ts`],
    [`${src}/service/a.ts`, "../transport/http/b.ts", `${src}/transport/http/b.ts`],
    [`${src}/testing/a.ts`, "../balance/b.ts", `${src}/balance/b.ts`],
    [`${src}/balance/a.test.ts`, "../testing/b.ts", `${src}/testing/b.ts`],
    [`${src}/balance/a.test.ts`, "zod", `${src}/balance/b.ts`],
    [`${src}/balance/a.integration.test.ts`, "../../../../scripts/servers.ts", "scripts/servers.ts"],
    ["packages/nats/src/a.ts", "flotilla/endpoint", `${src}/endpoint/b.ts`],
    ["packages/nats/src/a.ts", "nats", `${src}/endpoint/b.ts`],
    ["packages/nats/src/a.ts", "node:net", `${src}/endpoint/b.ts`],
    ["packages/nats/src/a.ts", "./b.ts", "packages/nats/src/b.ts"],
    ["packages/nats/src/a.test.ts", "flotilla/testing", `${src}/testing/b.ts`],
    ["packages/nats/src/a.integration.test.ts", "../../../scripts/servers.ts", "scripts/servers.ts"],
    ["examples/shipping/src/booking/main.ts", "flotilla/http", `${src}/http/b.ts`],
    ["examples/shipping/src/booking/domain/a.ts", "../../geo/b.ts", "examples/shipping/src/geo/b.ts"],
  ];
  for (const example of allowed) assert.deepEqual(importing(...example), [], example.join(" "));
});

test("every broken rule is found", () => {
  const forbidden: [from: string, specifier: string, existing: string, why: RegExp][] = [
    [
      `${src}/context/a.ts`,
      "../service/b.ts",
      `${src}/service/b.ts`,
      /ground floor \(context\/\) imports nothing above/,
    ],
    [`${src}/codec/a.ts`, "../transport/http/b.ts", `${src}/transport/http/b.ts`, /ground floor/],
    ["packages/nats/src/a.ts", "zod", `${src}/errors/b.ts`, /its own dependencies/],
    ["packages/nats/src/a.ts", "flotilla", `${src}/errors/b.ts`, /no root entry/],
    ["packages/nats/src/a.ts", "flotilla/dist/errors/b.js", `${src}/errors/b.ts`, /only public subpaths/],
    ["packages/nats/src/a.ts", "flotilla/testing", `${src}/testing/b.ts`, /nothing imports flotilla\/testing/],
    ["packages/nats/src/a.ts", "@flotilla/redis", "packages/redis/src/b.ts", /never each other/],
    ["packages/nats/src/a.ts", "../../flotilla/src/errors/b.ts", `${src}/errors/b.ts`, /stays in packages\/nats/],
    ["packages/nats/src/a.ts", "./index.ts", "packages/nats/src/index.ts", /never a folder's index/],
    ["packages/nats/src/a.ts", "./b.test.ts", "packages/nats/src/b.test.ts", /only tests import tests/],
    [`${src}/transport/http/a.ts`, "../memory/b.ts", `${src}/transport/memory/b.ts`, /imports the ground floor only/],
    [`${src}/balance/a.ts`, "../discovery/b.ts", `${src}/discovery/b.ts`, /imports the ground floor only/],
    [`${src}/resilience/a.ts`, "../service/b.ts", `${src}/service/b.ts`, /imports the ground floor only/],
    [`${src}/service/a.ts`, "../testing/b.ts", `${src}/testing/b.ts`, /nothing imports testing\//],
    [`${src}/balance/a.ts`, "../sim/b.ts", `${src}/sim/b.ts`, /nothing imports sim\//],
    [`${src}/nowhere/a.ts`, "../balance/b.ts", `${src}/balance/b.ts`, /has no place in/],
    [`${src}/balance/a.ts`, "../errors/index.ts", `${src}/errors/index.ts`, /never a folder's index/],
    [`${src}/balance/a.ts`, "./b.test.ts", `${src}/balance/b.test.ts`, /only tests import tests/],
    [`${src}/balance/a.ts`, "../../test/gen/b.ts", "packages/flotilla/test/gen/b.ts", /only tests import/],
    [`${src}/balance/a.ts`, "./c.ts", `${src}/balance/b.ts`, /no such file/],
    [`${src}/balance/a.ts`, "zod", `${src}/balance/b.ts`, /its own dependencies/],
    [`${src}/balance/a.ts`, "flotilla/http", `${src}/balance/b.ts`, /its own dependencies/],
    [
      "examples/gateway/src/a.ts",
      "../../shipping/src/b.ts",
      "examples/shipping/src/b.ts",
      /a relative import stays in/,
    ],
    ["bench/a.ts", "../packages/flotilla/src/context/b.ts", `${src}/context/b.ts`, /a relative import stays in bench/],
    ["examples/gateway/src/a.ts", "flotilla", `${src}/context/b.ts`, /no root entry/],
    ["examples/gateway/src/a.ts", "flotilla/src/context/b.ts", `${src}/context/b.ts`, /only public subpaths/],
    [
      "examples/shipping/src/booking/domain/a.ts",
      "flotilla/context",
      `${src}/context/b.ts`,
      /domain code reaches flotilla/,
    ],
    ["examples/shipping/src/booking/domain/a.ts", "node:fs", `${src}/context/b.ts`, /domain code reaches node:fs/],
  ];
  for (const [from, specifier, existing, why] of forbidden) {
    const found = importing(from, specifier, existing);
    assert.equal(found.length, 1, `${from} ${specifier}: ${found.join("; ")}`);
    assert.match(found[0] ?? "", why);
    assert.ok(found[0]?.startsWith(from), found[0]);
  }
});

test("domain code is caught reaching the system through another file", () => {
  const found = violations({
    "examples/shipping/src/booking/domain/cargo.ts": 'import { now } from "../../lib/time.ts";\n',
    "examples/shipping/src/lib/time.ts": '// why\nexport { performance as now } from "node:perf_hooks";\n',
  });
  assert.deepEqual(found, [
    "examples/shipping/src/booking/domain/cargo.ts: domain code reaches node:perf_hooks, through examples/shipping/src/lib/time.ts:2: it knows neither the toolkit nor the system",
  ]);
});

test("every form of import is seen, and comments are not", () => {
  // IMPORT: so that the check does not take these for imports of this file.
  const text = [
    'import "./effect.ts";',
    'import a, { type B } from "./a.ts";',
    "import {",
    "  c,",
    '} from "./c.ts";',
    'export * from "../d.ts";',
    'export type { E } from "./e.ts";',
    'const f = await IMPORT("./f.ts");',
    'let g: IMPORT("./g.ts").G;',
    '// import "./no.ts";',
    '/** IMPORT("./no.ts") */',
    'export const h = "./no.ts";',
  ].join("\n");
  const found = importsOf("x/y/z.ts", text.replaceAll("IMPORT", "import")).map(
    ({ target, line }) => `${line} ${target}`,
  );
  assert.deepEqual(found, [
    "1 x/y/effect.ts",
    "2 x/y/a.ts",
    "3 x/y/c.ts",
    "6 x/d.ts",
    "7 x/y/e.ts",
    "8 x/y/f.ts",
    "9 x/y/g.ts",
  ]);
});

test("cycles are found, of two files, of three, and of a file with itself", () => {
  using made = workspace({
    "bench/a.ts": 'import "./b.ts";\n',
    "bench/b.ts": 'import type { A } from "./a.ts";\nimport "./free.ts";\n',
    "bench/c.ts": 'import "./d.ts";\nimport "./a.ts";\n',
    "bench/d.ts": 'import "./e.ts";\n',
    "bench/e.ts": 'import "./c.ts";\n',
    "bench/free.ts": "",
    "bench/self.ts": 'import "./self.ts";\n',
  });
  const cycles = findCycles(made.sources).sort((a, b) => (a[0] ?? "").localeCompare(b[0] ?? ""));
  assert.deepEqual(cycles, [
    ["bench/a.ts", "bench/b.ts"],
    ["bench/c.ts", "bench/d.ts", "bench/e.ts"],
    ["bench/self.ts"],
  ]);
});

test("long files are found, and exceptions only shrink", () => {
  const file = (path: string, lines: number): SourceFile => ({ path, lines, text: "", imports: [] });
  assert.deepEqual(lengthViolations([file("a.ts", 300), file("a.test.ts", 900), file("gen/b_pb.ts", 900)], {}), []);
  assert.deepEqual(lengthViolations([file("a.ts", 350)], { "a.ts": 350 }), []);
  assert.match(lengthViolations([file("a.ts", 301)], {})[0] ?? "", /301 lines, of 300 at most/);
  assert.match(lengthViolations([file("a.ts", 351)], { "a.ts": 350 })[0] ?? "", /351 lines, of 350/);
  assert.match(lengthViolations([file("a.ts", 340)], { "a.ts": 350 })[0] ?? "", /lower it to 340/);
  assert.match(lengthViolations([file("a.ts", 300)], { "a.ts": 350 })[0] ?? "", /remove it/);
  assert.match(lengthViolations([], { "a.ts": 350 })[0] ?? "", /remove it/);
});
