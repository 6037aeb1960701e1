import assert from "node:assert/strict";
import { chmod, chown, mkdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { until } from "../../testing/discovery-recorder.ts";
import { makeFolder, type ProcessOptions, startProcess } from "./test-fixtures/processes.ts";

const service = "faults.v1.Faults";
const root = process.getuid?.() === 0;
/** Permissions do not bind root, so the processes are another user's: nobody. */
const NOBODY = 65_534;
const user: ProcessOptions = root ? { uid: NOBODY } : {};
const uid = root ? NOBODY : (process.getuid?.() ?? 0);

/** Whether the other user may run anything here at all. */
async function skipped(): Promise<string | false> {
  if (process.getuid === undefined) return "needs a system with user ids";
  const done: (() => unknown)[] = [];
  const trial = { after: (end: () => unknown) => void done.push(end) } as unknown as TestContext;
  const { lines, ended } = startProcess(trial, ["hold", await makeFolder(trial), "x"], user);
  await Promise.race([until("it runs", () => lines.length > 0).catch(() => {}), ended]);
  for (const end of done) await end();
  return lines.length > 0 ? false : "user nobody may not read this checkout";
}

/** What the first line says that a process of that user prints. */
async function firstLine(t: TestContext, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { lines } = startProcess(t, args, { ...user, env });
  await until("the process says something", () => lines.length > 0);
  return lines[0]!;
}

/** A folder that belongs to the user of the processes. */
async function ownFolder(t: TestContext): Promise<string> {
  const dir = await makeFolder(t);
  if (root) await chown(dir, NOBODY, NOBODY);
  return dir;
}

describe("embedded registry, permissions", { skip: await skipped() }, () => {
  test("a folder that may not be written to is an error that says so, and works once that is mended", async (t) => {
    const dir = await ownFolder(t);
    await chmod(dir, 0o555);
    const refused = await firstLine(t, ["hold", dir, "a"]);
    await chmod(dir, 0o755);
    assert.match(
      refused,
      /^error embedded registry: cannot write the lease of faults\.v1\.Faults\/a in .*: this user may not: mend the folder's owner and mode, or choose another folder with FLOTILLA_REGISTRY or the dir option \(EACCES\)$/,
    );
    assert.equal(await firstLine(t, ["hold", dir, "a"]), "registered");
    assert.equal(await firstLine(t, ["find", dir]), "found a");
  });

  test("a folder that may not be read is an error of the watch", async (t) => {
    const dir = await ownFolder(t);
    assert.equal(await firstLine(t, ["hold", dir, "a"]), "registered");
    const folder = join(dir, service);
    await chmod(folder, 0o000);
    const said = await firstLine(t, ["find", dir]);
    await chmod(folder, 0o755);
    assert.match(said, /^error embedded registry: cannot read the instances of .*this user may not/);
  });

  test("a lease of another user that may not be read is told of, and the others are found", async (t) => {
    const dir = await ownFolder(t);
    assert.equal(await firstLine(t, ["hold", dir, "a"]), "registered");
    const foreign = join(dir, service, "b~0123456789abcdef.json");
    await writeFile(foreign, "{}");
    await chmod(foreign, 0o000);
    const { lines } = startProcess(t, ["find", dir], user);
    await until("both are said", () => lines.length > 1);
    assert.match(lines[0]!, /^error .*b~0123456789abcdef\.json: it cannot be opened \(EACCES\)/);
    assert.equal(lines[1], "found a");
  });

  test("a link in the place of a service's folder is not followed", async (t) => {
    const [dir, elsewhere] = [await ownFolder(t), await ownFolder(t)];
    await symlink(elsewhere, join(dir, service));
    assert.match(
      await firstLine(t, ["hold", dir, "a"]),
      /^error .*cannot write the lease .*no folder: remove what is in the way/,
    );
    assert.match(
      await firstLine(t, ["find", dir]),
      /^error .*cannot read the instances .*no folder: remove what is in the way/,
    );
  });

  describe("the default folder, in a folder that everybody may write to", () => {
    const setUp = async (t: TestContext) => {
      const shared = await makeFolder(t);
      await chmod(shared, 0o777);
      const path = join(shared, `flotilla-registry-${uid}`);
      const run = (...args: string[]) => firstLine(t, args, { TMPDIR: shared });
      return { path, hold: () => run("hold", "", "a"), find: () => run("find", "") };
    };

    test("is made for this user alone", async (t) => {
      const { path, hold, find } = await setUp(t);
      assert.equal(await hold(), "registered");
      assert.equal(await find(), "found a");
      assert.equal((await stat(path)).mode & 0o777, 0o700);
    });

    test("is refused when another user made it", {
      skip: !root && "only root can make it another user's",
    }, async (t) => {
      const { path, hold, find } = await setUp(t);
      await mkdir(join(path, service), { recursive: true });
      const refused = /^error .*: it belongs to another user: mend that, or choose another folder/;
      assert.match(await hold(), refused);
      assert.match(await find(), refused, "whoever made it could send the calls anywhere");
    });

    test("is refused when others may write to it", async (t) => {
      const { path, hold, find } = await setUp(t);
      await mkdir(path);
      await chmod(path, 0o777);
      if (root) await chown(path, NOBODY, NOBODY);
      await mkdir(join(path, service));
      const refused = /^error .*: others may write to it \(chmod 700 .*\): mend that/;
      assert.match(await hold(), refused);
      assert.match(await find(), refused);
    });

    test("is refused when it is a link or a file", async (t) => {
      const { path, hold, find } = await setUp(t);
      const elsewhere = await ownFolder(t);
      const refused = /^error .*a part of the path is no folder: remove what is in the way/;
      await symlink(elsewhere, path);
      for (const line of [await hold(), await find()]) assert.match(line, refused);
      await rm(path);
      await writeFile(path, "");
      for (const line of [await hold(), await find()]) assert.match(line, refused);
    });
  });
});
