import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { startChild } from "./child.ts";

const folder = mkdtempSync(join(tmpdir(), "shipping-child-"));
after(() => rmSync(folder, { recursive: true }));

/** Starts a process of a few lines, and waits for its first message. */
async function start(name: string, source: string) {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(file, source);
  const child = startChild({ name, file, env: { GREETING: "hello" }, log: join(folder, `${name}.log`) });
  while (child.served === undefined && child.running) await new Promise((resolve) => setImmediate(resolve));
  return child;
}

const ready = 'process.send({ kind: "served", served: { calls: 7 } });';
const stays = "setInterval(() => {}, 1000);";

test("a process reports, is asked to stop, and its words are kept", async () => {
  const child = await start(
    "good",
    `console.log(process.env.GREETING); ${stays} process.on("SIGTERM", () => process.exit(0)); ${ready}`,
  );
  assert.equal(child.served?.calls, 7);
  assert.equal(child.running, true);
  assert.deepEqual(await child.stop(10_000), { code: 0, signal: null, asked: true });
  assert.equal(child.running, false);
  assert.equal(child.lastWords(), "hello");
});

test("one that does not stop is killed", async () => {
  const child = await start("deaf", `${stays} process.on("SIGTERM", () => {}); ${ready}`);
  assert.deepEqual(await child.stop(50), { code: null, signal: "SIGKILL", asked: true });
});

test("one that dies by itself was not asked", async () => {
  const child = await start("weak", `${ready} process.exit(3);`);
  assert.deepEqual(await child.exited, { code: 3, signal: null, asked: false });
});
