import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import type { Expectation } from "./lib/scenario.ts";
import { scenarios } from "./scenarios.ts";

const run = promisify(execFile);
const main = join(import.meta.dirname, "main.ts");

/** Ends a process that asks for chance or time that no seed makes: what is drawn so differs each time. */
const strict = `data:text/javascript,${encodeURIComponent(`
for (const [of, name] of [[Math, "random"], [Date, "now"]]) {
  of[name] = () => {
    process.stderr.write(new Error(name + " is not simulated").stack);
    process.exit(3);
  };
}`)}`;

/** A process of its own: the test runner follows every promise, which makes a simulation several times slower. */
async function play(name: string, seed: number): Promise<string> {
  const args = ["--import", strict, "--conditions=@flotilla/source", main, name, "--seed", String(seed), "--json"];
  const outcome = await run(process.execPath, args, { maxBuffer: 64 * 1024 * 1024, timeout: 300_000 }).catch(
    (error: unknown) => error as { readonly stdout?: string; readonly stderr?: string },
  );
  assert.ok(outcome.stdout, `${name} printed nothing: ${outcome.stderr}`);
  assert.match(outcome.stderr ?? "", / s of processor time\).* in all\n/);
  return outcome.stdout;
}

// Two at a time: each is a process that does nothing but compute.
describe("scenarios", { concurrency: 2 }, () => {
  for (const { name, summary } of scenarios) {
    test(`${name}: ${summary}`, async () => {
      const { expectations } = JSON.parse(await play(name, 1)) as {
        expectations: (Expectation & { readonly holds: boolean })[];
      };
      assert.ok(expectations.length > 0);
      for (const expectation of expectations) {
        assert.ok(expectation.holds, `seed 1: ${expectation.what} is ${expectation.figure}`);
      }
    });
  }
});

describe("a seed", () => {
  test("gives the same run, byte for byte; another gives another", async () => {
    const [first, again, other] = await Promise.all([play("sinkhole", 2), play("sinkhole", 2), play("sinkhole", 3)]);
    assert.equal(again, first);
    assert.notEqual(other.replace('"seed": 3', '"seed": 2'), first);
  });
});

describe("the command", () => {
  const sim = (...args: string[]): Promise<{ stdout: string; stderr: string; code: number }> =>
    run(process.execPath, ["--conditions=@flotilla/source", main, ...args], { timeout: 60_000 }).then(
      (outcome) => ({ ...outcome, code: 0 }),
      (error: unknown) => error as { stdout: string; stderr: string; code: number },
    );

  test("lists the scenarios, and says what is wrong with what it is told", async () => {
    const [list, unknown, seed] = await Promise.all([sim(), sim("none"), sim("sinkhole", "--seed", "x")]);
    assert.equal(list.code, 0);
    for (const { name, summary } of scenarios)
      assert.ok(list.stdout.includes(`${name} `) && list.stdout.includes(summary));
    assert.deepEqual([unknown.code, seed.code], [2, 2]);
    assert.match(unknown.stderr, /no scenario none; there are overload, /);
    assert.match(seed.stderr, /--seed must be a whole number, got x/);
  });

  test("tells a result as a table, and draws it", async (t) => {
    const dir = await mkdtemp(join(tmpdir(), "flotilla-sim-"));
    t.after(() => rm(dir, { recursive: true }));
    const file = join(dir, "sinkhole.svg");
    const { stdout, code } = await sim("sinkhole", "--seed", "1", "--svg", file);
    assert.equal(code, 0);
    assert.match(stdout, /^sinkhole: .* \(seed 1\)\n\n +offered\/s +served\/s +failed %/);
    assert.match(stdout, /^round robin alone +500 +450 +10 /m);
    assert.match(stdout, /^✓ failed calls one interval later, without retries: .* \(at most 0\.01\)$/m);
    assert.equal(
      await readFile(file, "utf8"),
      await readFile(join(import.meta.dirname, "../docs/sinkhole.svg"), "utf8"),
    );
  });
});
