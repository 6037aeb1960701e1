import assert from "node:assert/strict";
import { test } from "node:test";
import { sourceViolations } from "./source-rules.ts";

function found(path: string, text: string): string[] {
  return sourceViolations([{ path, text, lines: 1, imports: [] }]);
}

test("`using` is found where Node 22 must parse it", () => {
  for (const text of ["  using a = b();\n", "await using a = b();\n"]) {
    assert.match(
      found("packages/flotilla/src/a/b.test.ts", `x;\n${text}`)[0] ?? "",
      /b\.test\.ts:2: `using` is not in Node 22/,
    );
    assert.equal(found("examples/gateway/src/main.ts", text).length, 1);
    assert.deepEqual(found("scripts/a.ts", text), []);
  }
  assert.deepEqual(found("packages/flotilla/src/a/b.ts", "// using a = b\nconst using = 1;\n"), []);
});

test("the time of day is found, and a date made from a number is not", () => {
  assert.equal(found("packages/flotilla/src/a/b.ts", "const now = new Date();\n").length, 1);
  assert.equal(found("packages/flotilla/src/a/b.ts", "const now = Date();\n").length, 1);
  assert.deepEqual(found("packages/flotilla/src/a/b.ts", "new Date(epochMs); toDate();\n"), []);
  assert.deepEqual(found("packages/flotilla/src/clock/system.ts", "new Date();\n"), []);
  assert.deepEqual(found("packages/flotilla/src/a/b.test.ts", "new Date();\n"), []);
});
