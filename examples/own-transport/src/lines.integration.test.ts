import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { transportContract } from "flotilla/testing";
import { lines, linesClient } from "./lines.ts";

for (const { name, run } of transportContract({
  listener: () => lines(),
  connector: () => linesClient(),
  streams: false,
})) {
  test(name, { timeout: 20_000 }, run);
}

test("docs/transports.md shows what is in the file", async () => {
  const docs = await readFile(new URL("../../../docs/transports.md", import.meta.url), "utf8");
  const section = docs.slice(docs.indexOf("## A new transport"));
  const source = await readFile(new URL("lines.ts", import.meta.url), "utf8");
  const shown = [...section.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code!);
  assert.ok(shown.length > 2);
  const own = await readFile(new URL("lines.integration.test.ts", import.meta.url), "utf8");
  for (const code of shown) assert.ok(source.includes(code) || own.includes(code), code);
});
