import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { closingLine, runStep, type StepResult } from "./step.ts";
import { suite } from "./suite.ts";

/** Runs one test file with the given body and tells what the suite made of it. */
async function outcome(body: string, fileTimeoutMs = 20_000): Promise<StepResult> {
  const cwd = mkdtempSync(join(tmpdir(), "flotilla-suite-"));
  try {
    const head = 'import { describe, test } from "node:test"; import assert from "node:assert/strict";\n';
    writeFileSync(join(cwd, "x.test.mjs"), head + body);
    const step = suite({ name: "s", files: ["x.test.mjs"], concurrency: 1, testTimeoutMs: 5_000, fileTimeoutMs, cwd });
    return await runStep(step, () => {});
  } finally {
    rmSync(cwd, { recursive: true });
  }
}

const failure = ({ failures }: StepResult): string =>
  failures.map(({ name, output }) => `${name}\n${output}`).join("\n");

test("tests are counted one by one, suites and parents of failed tests are not", async () => {
  const result = await outcome(`
    test("a", () => {});
    describe("d", () => { test("b", () => {}); test("c", () => assert.equal(1, 2)); });
    test("p", (t) => t.test("q", () => assert.equal(1, 2)));
  `);
  assert.equal(closingLine([result, result]), "4 passed, 4 failed");
  assert.match(failure(result), /x\.test\.mjs: d › c\n[^]*x\.test\.mjs: p › q\n/);
});

test("skipped tests are listed by name with their reason", async () => {
  const result = await outcome(`
    test("a", { skip: "no dnsmasq" }, () => {});
    test("b", (t) => t.skip("no root"));
    test("c", { todo: true }, () => {});
    describe("d", { skip: "no network" }, () => { test("e", () => {}); });
  `);
  const list = result.skipped.map(({ name, reason }) => `${name}: ${reason}`);
  assert.deepEqual(list, [
    "x.test.mjs: a: no dnsmasq",
    "x.test.mjs: b: no root",
    "x.test.mjs: c: to do",
    "x.test.mjs: d: no network",
  ]);
  assert.equal(closingLine([result]), "0 passed, 0 failed, 4 skipped");
});

test("a file that keeps its process alive fails", async () => {
  const result = await outcome('test("a", () => { setInterval(() => {}, 1000); });', 1_000);
  assert.equal(closingLine([result]), "1 passed, 1 failed");
  assert.match(failure(result), /did not end in 1 s and was killed/);
});

test("a file that leaves a process running fails", async () => {
  const result = await outcome(`
    import { spawn } from "node:child_process";
    test("a", () => { spawn("sleep", ["30"], { stdio: "ignore" }).unref(); });
  `);
  assert.equal(closingLine([result]), "1 passed, 1 failed");
  assert.match(failure(result), /left processes of its own running/);
});

test("a file that fails outside of its tests, or holds none, fails", async () => {
  assert.match(failure(await outcome('throw new Error("at load");')), /before any test did[^]*at load/);
  assert.match(
    failure(await outcome('test("a", () => {}); process.on("exit", () => { process.exitCode = 4; });')),
    /exit code 4/,
  );
  assert.match(failure(await outcome("")), /holds no test/);
  assert.match(
    failure(await outcome('test("a", () => { setTimeout(() => { throw new Error("late"); }, 1); });')),
    /late/,
  );
});

test("a suite without files fails", async () => {
  const step = suite({ name: "s", files: [], concurrency: 1, testTimeoutMs: 1, fileTimeoutMs: 1 });
  assert.match(failure(await runStep(step, () => {})), /no test file was found/);
});
