import assert from "node:assert/strict";
import { test } from "node:test";
import { parseOptions } from "./options.ts";

test("without arguments the defaults hold", () => {
  const defaults = { forMs: undefined, json: false, seed: 1, rate: 8, port: undefined, trace: false, help: false };
  assert.deepEqual(parseOptions([]), defaults);
});

test("options are read", () => {
  const args = ["--for", "20s", "--json", "--seed", "7", "--rate=2.5", "--port", "0"];
  assert.deepEqual(parseOptions(args), {
    forMs: 20_000,
    json: true,
    seed: 7,
    rate: 2.5,
    port: 0,
    trace: false,
    help: false,
  });
  for (const [text, ms] of [
    ["1500ms", 1500],
    ["2m", 120_000],
    ["0.5h", 1_800_000],
  ] as const) {
    assert.deepEqual(parseOptions(["--for", text]), {
      forMs: ms,
      json: false,
      seed: 1,
      rate: 8,
      port: undefined,
      trace: false,
      help: false,
    });
  }
});

test("all that is wrong is told at once", () => {
  const outcome = parseOptions(["--for", "soon", "--seed", "x", "--rate=-1", "--port", "70000"]);
  assert.ok("wrong" in outcome);
  assert.equal(outcome.wrong.length, 4);
  assert.match(outcome.wrong.join("\n"), /--for must be a time such as 20s.*got "soon"/);
  const unknown = parseOptions(["--colour"]);
  assert.ok("wrong" in unknown && /--colour/.test(unknown.wrong[0] ?? ""));
});
