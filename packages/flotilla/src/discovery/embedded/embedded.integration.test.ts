import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { background } from "../../context/with.ts";
import { SnapshotRecorder, until } from "../../testing/discovery-recorder.ts";
import { embedded } from "./embedded.ts";
import { makeFolder, startProcess } from "./test-fixtures/processes.ts";

const service = "faults.v1.Faults";
const ctx = background();
const run = promisify(execFile);

function follow(t: TestContext, dir: string): SnapshotRecorder {
  const seen = new SnapshotRecorder();
  const watch = embedded({ dir, pollMs: 50 }).watch(service, seen);
  t.after(() => watch.stop());
  return seen;
}

const idsOf = (seen: SnapshotRecorder): string | undefined => seen.last?.map(({ id }) => id).join();
const shows = (seen: SnapshotRecorder, ids: string, timeoutMs?: number): Promise<void> =>
  until(`the instances [${ids}]`, () => idsOf(seen) === ids, timeoutMs);

/** Waits until so many files are left of the leases. */
async function untilFiles(dir: string, count: number): Promise<void> {
  let found = -1;
  const look = (): boolean => {
    void readdir(join(dir, service)).then((files) => {
      found = files.length;
    });
    return found === count;
  };
  await until(`${count} files are left`, look);
}

describe("embedded registry, processes", () => {
  test("a process killed with SIGKILL is found until its lease runs out, and no longer", async (t) => {
    const dir = await makeFolder(t);
    const [ttlMs, heartbeatMs] = [1500, 500];
    const seen = follow(t, dir);
    const doomed = startProcess(t, ["hold", dir, "doomed", String(ttlMs)]);
    startProcess(t, ["hold", dir, "other", String(ttlMs)]);
    await shows(seen, "doomed,other");
    doomed.kill("SIGKILL");
    const killed = performance.now();
    await shows(seen, "other");
    const tookMs = performance.now() - killed;
    assert.ok(tookMs > ttlMs - heartbeatMs - 100, `gone after ${tookMs} ms, before its lease had run out`);
    assert.ok(tookMs < ttlMs + 400, `gone only after ${tookMs} ms`);
    assert.deepEqual(seen.errors, []);
    await untilFiles(dir, 1);
  });

  test("eight processes that register and deregister 200 times each leave nothing wrong behind", async (t) => {
    const dir = await makeFolder(t);
    const watchers = [follow(t, dir), follow(t, dir)];
    const names = Array.from({ length: 8 }, (_, i) => `p${i}`);
    const processes = names.map((name) => startProcess(t, ["churn", dir, name, "3000", "200"]));
    await until("all are done", () => processes.every(({ lines }) => lines.length > 0), 60_000);
    assert.deepEqual(
      processes.flatMap(({ lines }) => lines),
      names.map(() => "registered"),
    );
    const late = follow(t, dir);
    for (const seen of [...watchers, late]) await shows(seen, names.join());
    for (const seen of watchers) {
      assert.deepEqual(seen.errors, []);
      for (const snapshot of seen.snapshots) {
        const ids = snapshot.map(({ id }) => id);
        assert.deepEqual(ids, [...new Set(ids)].sort());
      }
    }
    const files = await readdir(join(dir, service));
    assert.equal(files.length, names.length, `files are left: ${files.join()}`);
    for (const { kill } of processes) kill("SIGKILL");
    for (const seen of [...watchers, late]) await shows(seen, "", 6000);
  });

  test("a process stopped for longer than its ttl is gone, and found again when it goes on", async (t) => {
    const dir = await makeFolder(t);
    const seen = follow(t, dir);
    const suspended = startProcess(t, ["hold", dir, "suspended", "600"]);
    await shows(seen, "suspended");
    suspended.kill("SIGSTOP");
    await shows(seen, "");
    // It then has to write its lease anew.
    await untilFiles(dir, 0);
    suspended.kill("SIGCONT");
    await shows(seen, "suspended");
    assert.deepEqual(seen.errors, []);
  });
});

/** Whether this process may mount a file system. */
async function mayMount(): Promise<string | false> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "only root may mount a small file system";
  return run("unshare", ["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).then(
    () => false,
    () => "this system does not let root mount a file system",
  );
}

describe("embedded registry, full disk", { skip: await mayMount() }, () => {
  async function smallDisk(t: TestContext) {
    const dir = await mkdtemp(join(tmpdir(), "flotilla-faults-"));
    await run("mount", ["-t", "tmpfs", "-o", "size=64k,nr_inodes=64", "tmpfs", dir]);
    t.after(async () => {
      await run("umount", ["-l", dir]);
      await rm(dir, { recursive: true });
    });
    const filler = join(dir, "filler");
    return {
      dir,
      async fill() {
        await assert.rejects(writeFile(filler, Buffer.alloc(128 * 1024)), { code: "ENOSPC" });
      },
      free: () => unlink(filler),
    };
  }

  test("leases that are there live on, new ones are refused clearly, and taken once there is space", async (t) => {
    const { dir, fill, free } = await smallDisk(t);
    const registry = embedded({ dir, ttlMs: 400, pollMs: 20 });
    const old = await registry.register(ctx, service, { id: "old", address: "http://127.0.0.1:1" });
    const seen = follow(t, dir);
    await shows(seen, "old");
    await fill();
    const more = { id: "more", address: "http://127.0.0.1:2" };
    await assert.rejects(registry.register(ctx, service, more), (error: Error) => {
      assert.match(
        error.message,
        /cannot write the lease of faults\.v1\.Faults\/more in .*: the disk is full.*free some space/,
      );
      return true;
    });
    await new Promise<void>((resolve) => setTimeout(resolve, 1000));
    assert.equal(old.error, undefined);
    assert.deepEqual(seen.told.length, 1, "the old one was there all the time, and nothing was told");
    await free();
    const added = await registry.register(ctx, service, more);
    await shows(seen, "more,old");
    assert.deepEqual(
      await readdir(join(dir, service)).then((files) => files.filter((file) => file.startsWith("."))),
      [],
    );
    await added.deregister(ctx);
    await old.deregister(ctx);
  });

  test("a lease that was lost on a full disk says why it is not back, and is back once there is space", async (t) => {
    const { dir, fill, free } = await smallDisk(t);
    const registry = embedded({ dir, ttlMs: 300, pollMs: 20 });
    const lost = await registry.register(ctx, service, { id: "lost", address: "http://127.0.0.1:1" });
    const seen = follow(t, dir);
    await shows(seen, "lost");
    await fill();
    await rm(join(dir, service), { recursive: true });
    // What the lease took is free again: that must be filled too.
    await writeFile(join(dir, "more"), Buffer.alloc(64 * 1024)).catch(() => {});
    await until("it says why", () => /the disk is full/.test(lost.error?.message ?? ""));
    await free();
    await shows(seen, "lost");
    await until("it is well again", () => lost.error === undefined);
    await lost.deregister(ctx);
  });
});
