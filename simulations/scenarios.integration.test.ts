import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import type { Expectation } from "./lib/scenario.ts";
import { scenarios } from "./scenarios.ts";

const run = promisify(execFile);
const main = join(import.meta.dirname, "main.ts");

/** A process of its own: the test runner follows every promise, which makes a simulation several times slower. */
async function play(name: string, seed: number): Promise<string> {
  const args = ["--conditions=@flotilla/source", main, name, "--seed", String(seed), "--json"];
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
