import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, open, readdir, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { background } from "../../context/with.ts";
import { SnapshotRecorder, until } from "../../testing/discovery-recorder.ts";
import type { Registration } from "../discovery.ts";
import { type EmbeddedOptions, embedded } from "./embedded.ts";
import { leaseText } from "./lease.ts";

const ctx = background();
const service = "s";
const token = "0123456789abcdef";
const good = {
  service,
  instance: { id: "x", address: "http://127.0.0.1:9" },
  token,
  sinceMs: 1,
  ttlMs: 5000,
  pid: 1,
};

/** A registry with one instance, `a`, whose folder others write to. */
async function setUp(t: TestContext, options: EmbeddedOptions = {}) {
  const dir = await mkdtemp(join(tmpdir(), "flotilla-embedded-"));
  const folder = join(dir, service);
  const registry = embedded({ dir, ttlMs: 300, pollMs: 20, ...options });
  const kept: Registration = await registry.register(ctx, service, { id: "a", address: "http://127.0.0.1:1" });
  const seen = new SnapshotRecorder();
  const watch = registry.watch(service, seen);
  t.after(async () => {
    watch.stop();
    await kept.deregister(ctx);
    await rm(dir, { recursive: true, force: true });
  });
  await until("a is found", () => seen.last?.length === 1);
  return { dir, folder, registry, kept, seen };
}

const ids = (seen: SnapshotRecorder): string | undefined => seen.last?.map(({ id }) => id).join();

describe("a file in the way is told of, and nothing else changes", () => {
  const name = `x~${token}.json`;
  const files: [title: string, message: RegExp, make: (folder: string) => Promise<unknown> | void, name?: string][] = [
    ["an empty file", /it is empty/, (folder) => writeFile(join(folder, name), "")],
    ["a truncated lease", /it is not JSON/, (folder) => writeFile(join(folder, name), leaseText(good).slice(0, 60))],
    ["bytes", /it is not JSON/, (folder) => writeFile(join(folder, name), Buffer.from([0xff, 0xfe, 0, 0x80]))],
    ["JSON of another kind", /it is not a lease/, (folder) => writeFile(join(folder, name), "null")],
    ["another format", /its format is not/, (folder) => writeFile(join(folder, name), '{"format":"flotilla-lease/2"}')],
    [
      "a lease of another service",
      /another service/,
      (folder) => writeFile(join(folder, name), leaseText({ ...good, service: "t" })),
    ],
    [
      "a lease of another name",
      /does not fit/,
      (folder) => writeFile(join(folder, name), leaseText({ ...good, token: "f".repeat(16) })),
    ],
    [
      "a lease that never ends",
      /ttlMs is out of range/,
      (folder) => writeFile(join(folder, name), leaseText({ ...good, ttlMs: 1e12 })),
    ],
    [
      "a lease with a bad address",
      /address/,
      (folder) =>
        writeFile(join(folder, name), leaseText({ ...good, instance: { id: "x", address: "file:///etc/passwd" } })),
    ],
    [
      "a lease with a key __proto__",
      /__proto__/,
      (folder) => writeFile(join(folder, name), leaseText(good).replace('"id"', '"metadata":{"__proto__":"x"},"id"')),
    ],
    ["deep JSON", /it is not/, (folder) => writeFile(join(folder, name), "[".repeat(60_000))],
    [
      "a file of 1 GB",
      /1073741824 bytes; a lease has at most 65536/,
      async (folder) => {
        await writeFile(join(folder, name), "{");
        await truncate(join(folder, name), 2 ** 30);
      },
    ],
    ["a folder", /not a plain file/, (folder) => mkdir(join(folder, name))],
    ["a link to a file", /not a plain file/, (folder) => symlink("/etc/passwd", join(folder, name))],
    ["a pipe nobody writes to", /not a plain file/, (folder) => void execFileSync("mkfifo", [join(folder, name)])],
    [
      "a file that is not named so",
      /README: it is not named as a lease/,
      (folder) => writeFile(join(folder, "README"), "hello"),
    ],
  ];
  for (const [title, message, make] of files) {
    test(title, { skip: process.platform === "win32" && "needs a POSIX file system" }, async (t) => {
      const { folder, registry, seen } = await setUp(t);
      await make(folder);
      await until("it is told", () => seen.errors.length > 0);
      assert.equal(seen.errors[0]!.code, "data_loss");
      assert.match(seen.errors[0]!.message, message);
      assert.match(seen.errors[0]!.message, /embedded registry: .* holds a file that is no lease, .*: remove it/);
      assert.ok(seen.errors[0]!.message.length < 600, "an error of a length one can read");
      await until("the snapshot follows", () => seen.told.at(-1) === seen.last);
      const more = await registry.register(ctx, service, { id: "b", address: "http://127.0.0.1:2" });
      await until("others are found still", () => ids(seen) === "a,b");
      await more.deregister(ctx);
      assert.equal(seen.errors.length, 1, "told once");
    });
  }

  test("files that come and go by the thousand cost neither memory nor the snapshot", async (t) => {
    const { folder, registry, seen } = await setUp(t, { maxInstances: 10 });
    for (let i = 0; i < 2000; i++) await (await open(join(folder, `~junk-${i}`), "w")).close();
    await until("the flood is told of", () => seen.errors.some(({ code }) => code === "resource_exhausted"));
    assert.equal(ids(seen), "a", "who was known before is asked for by name");
    for (const file of await readdir(folder)) if (file.startsWith("~junk")) await rm(join(folder, file));
    const late = new SnapshotRecorder();
    const watch = registry.watch(service, late);
    await until("all is well again", () => ids(late) === "a");
    watch.stop();
  });
});

describe("a lease that others damage is written anew", () => {
  for (const [title, damage] of [
    ["removed", (path: string) => rm(path)],
    ["truncated", (path: string) => truncate(path, 10)],
    ["emptied", (path: string) => writeFile(path, "")],
    ["replaced by another file", (path: string) => rm(path).then(() => writeFile(path, "{}"))],
  ] as const) {
    test(title, async (t) => {
      const { folder, kept, seen } = await setUp(t);
      const [file] = await readdir(folder);
      const path = join(folder, file!);
      const text = await readFile(path, "utf8");
      await damage(path);
      let now = "";
      await until("it is as it was", () => {
        void readFile(path, "utf8").then(
          (read) => {
            now = read;
          },
          () => {},
        );
        return now === text;
      });
      await until("a is found", () => ids(seen) === "a" && seen.told.at(-1) === seen.last);
      assert.equal(kept.error, undefined);
    });
  }

  test("the whole folder removed", async (t) => {
    const { dir, seen, kept } = await setUp(t);
    await rm(dir, { recursive: true });
    await until("a is gone or back", () => seen.told.length > 1);
    await until("a is found", () => ids(seen) === "a");
    assert.equal(kept.error, undefined);
  });
});

test("two processes that take one id: the later is found, and the earlier is told", async (t) => {
  const { dir, kept, seen } = await setUp(t);
  const other = await embedded({ dir, ttlMs: 300 }).register(ctx, service, { id: "a", address: "http://127.0.0.1:2" });
  await until("the later is found", () => seen.addresses?.join() === "http://127.0.0.1:2");
  await until("the earlier is told", () => kept.error?.code === "already_exists");
  assert.match(
    kept.error!.message,
    /"a" of s was registered again, by process \d+ at http:\/\/127\.0\.0\.1:2.*an id of its own/,
  );
  await other.deregister(ctx);
  await until("the earlier is found again", () => seen.addresses?.join() === "http://127.0.0.1:1");
  await until("and told so", () => kept.error === undefined);
});
