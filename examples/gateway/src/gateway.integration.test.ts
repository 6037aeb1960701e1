import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const processes: ReturnType<typeof spawn>[] = [];
let registry = "";
let at = "";

/** Starts an example as a process and gives its address. */
async function start(example: string): Promise<string> {
  const main = fileURLToPath(new URL(`../../${example}/src/main.ts`, import.meta.url));
  const env = { ...process.env, PORT: "0", FLOTILLA_REGISTRY: registry };
  const child = spawn(process.execPath, ["--conditions=@flotilla/source", main], {
    env,
    stdio: ["ignore", "inherit", "pipe"],
  });
  processes.push(child);
  let printed = "";
  for await (const line of createInterface({ input: child.stderr })) {
    printed += `${line}\n`;
    const found = / at (http:\/\/\S+?),/.exec(line);
    if (found) return found[1]!;
  }
  throw new Error(`${example} ended before it served:\n${printed}`);
}

before(async () => {
  registry = await mkdtemp(join(tmpdir(), "gateway-"));
  [, , at = ""] = await Promise.all(["stringsvc", "profilesvc", "gateway"].map(start));
});

after(async () => {
  for (const child of processes) child.kill("SIGTERM");
  const codes = await Promise.all(
    processes.map(async (child) => child.exitCode ?? ((await once(child, "exit")) as [number])[0]),
  );
  await rm(registry, { recursive: true });
  assert.deepEqual(codes, [0, 0, 0], "all exit cleanly on SIGTERM");
});

test("one REST call is put together from two services found through the registry", async () => {
  const body = JSON.stringify({ id: "grace", name: "Grace Hopper" });
  const created = await fetch(`${at}/people`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  assert.equal(created.status, 201);
  const badge = await fetch(`${at}/people/grace/badge`);
  assert.deepEqual([badge.status, await badge.json()], [200, { badge: "GRACE HOPPER", letters: 12 }]);
});

test("what a service behind it says is what the caller sees", async () => {
  const missing = await fetch(`${at}/people/nobody/badge`);
  assert.equal(missing.status, 404);
  assert.equal(((await missing.json()) as { detail: string }).detail, 'there is no profile "nobody"');
});
