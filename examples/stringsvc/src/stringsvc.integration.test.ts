import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const node = [process.execPath, ["--conditions=@flotilla/source"]] as const;
const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

let server: ReturnType<typeof spawn>;
let address = "";
let registry = "";

before(async () => {
  registry = await mkdtemp(join(tmpdir(), "stringsvc-"));
  const env = { ...process.env, PORT: "0", FLOTILLA_REGISTRY: registry };
  server = spawn(node[0], [...node[1], file("main.ts")], { env, stdio: ["ignore", "inherit", "pipe"] });
  for await (const line of createInterface({ input: server.stderr! })) {
    const found = /serving strings\.v1\.Strings at (http:\/\/\S+?),/.exec(line);
    if (found) {
      address = found[1]!;
      break;
    }
  }
});

after(async () => {
  server.kill("SIGTERM");
  const [code] = (await once(server, "exit")) as [number];
  await rm(registry, { recursive: true });
  assert.equal(code, 0, "the service exits cleanly on SIGTERM");
});

test("the service answers a Connect call, as curl makes it", async () => {
  const response = await fetch(`${address}/strings.v1.Strings/uppercase`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"s":"hello"}',
  });
  assert.deepEqual([response.status, await response.json()], [200, { v: "HELLO" }]);
});

test("its REST route counts characters, not code units", async () => {
  const response = await fetch(`${address}/count/${encodeURIComponent("a😀b")}`);
  assert.deepEqual([response.status, await response.json()], [200, { v: 3 }]);
});

test("a bad request names the field", async () => {
  const response = await fetch(`${address}/strings.v1.Strings/uppercase`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"s":""}',
  });
  const body = (await response.json()) as { code: string; message: string };
  assert.equal(response.status, 400);
  assert.equal(body.code, "invalid_argument");
  assert.match(body.message, /^invalid request to strings\.v1\.Strings\/uppercase: s: /);
});

test("the typed client finds it, prints its answer and exits", async () => {
  const env = { ...process.env, FLOTILLA_REGISTRY: registry };
  const { stdout } = await promisify(execFile)(node[0], [...node[1], file("call.ts")], { env });
  assert.equal(stdout, "{ v: 'HELLO' }\n");
});

test("the README quotes these files, and the service stays under 30 lines", async () => {
  const readme = await readFile(file("../../../README.md"), "utf8");
  let lines = 0;
  for (const name of ["contract.ts", "main.ts", "call.ts"]) {
    const source = await readFile(file(name), "utf8");
    if (name !== "call.ts") lines += source.trimEnd().split("\n").length;
    assert.ok(readme.includes(source.trimEnd()), `README.md quotes examples/stringsvc/src/${name} to the letter`);
  }
  assert.ok(lines < 30, `${lines} lines`);
});
