import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { toJson } from "./lib/report.ts";
import { holds } from "./lib/scenario.ts";
import { scenarios } from "./scenarios.ts";

for (const scenario of scenarios) {
  test(`${scenario.name}: ${scenario.summary}`, async () => {
    const result = await scenario.run({ seed: 1, progress() {} });
    for (const expectation of result.expectations) {
      assert.ok(holds(expectation), `seed 1: ${expectation.what} is ${expectation.figure}`);
    }
  });
}

describe("a seed", () => {
  test("gives the same run, byte for byte; another gives another", async () => {
    const [scenario] = scenarios;
    const run = async (seed: number): Promise<string> =>
      toJson(scenario!, 0, await scenario!.run({ seed, progress() {} }));
    const first = await run(2);
    assert.equal(await run(2), first);
    assert.notEqual(await run(3), first);
  });
});
