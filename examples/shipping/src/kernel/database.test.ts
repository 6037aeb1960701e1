import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Worker } from "node:worker_threads";
import { openDatabase, transaction } from "./database.ts";
import { createOutbox, outboxSchema } from "./outbox.ts";

const folder = mkdtempSync(join(tmpdir(), "shipping-database-"));
after(() => rmSync(folder, { recursive: true }));

test("migrations run once each, however often the database is opened", () => {
  const path = join(folder, "a", "steps.db");
  const first = "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);";
  openDatabase(path, [first]).close();
  const db = openDatabase(path, [first, "ALTER TABLE a ADD COLUMN y INTEGER"]);
  assert.deepEqual({ ...db.prepare("SELECT count(*) AS n, max(y) AS y FROM a").get() }, { n: 1, y: null });
  assert.equal(db.prepare("PRAGMA journal_mode").get()?.["journal_mode"], "wal");
  db.close();
});

test("a failing step leaves the database as it was", () => {
  const path = join(folder, "failing.db");
  openDatabase(path, ["CREATE TABLE a (x INTEGER)"]).close();
  assert.throws(
    () => openDatabase(path, ["CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER); nonsense"]),
    /nonsense/,
  );
  const db = openDatabase(path, ["CREATE TABLE a (x INTEGER)", "CREATE TABLE b (y INTEGER)"]);
  db.prepare("SELECT y FROM b").all();
  db.close();
});

test("a database of a later version is refused", () => {
  const path = join(folder, "later.db");
  openDatabase(path, ["CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER)"]).close();
  assert.throws(() => openDatabase(path, ["CREATE TABLE a (x INTEGER)"]), /has schema version 2, this program knows 1/);
});

test("many may open a new database at the same instant", async () => {
  const file = join(folder, "opener.mjs");
  writeFileSync(
    file,
    `import { parentPort, workerData } from "node:worker_threads";
    import { openDatabase } from ${JSON.stringify(import.meta.resolve("./database.ts"))};
    const { paths, gate } = workerData;
    for (const [round, path] of paths.entries()) {
      parentPort.postMessage("ready");
      Atomics.wait(gate, 0, round);
      openDatabase(path, ["CREATE TABLE a (x INTEGER)", "INSERT INTO a VALUES (1)"]).close();
    }`,
  );
  const paths = Array.from({ length: 5 }, (_, round) => join(folder, `race-${round}.db`));
  // Its number is the round that may begin.
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const workers = Array.from({ length: 6 }, () => new Worker(file, { workerData: { paths, gate } }));
  const ended = Promise.all(
    workers.map((worker) => {
      return new Promise<void>((resolve, reject) => worker.once("error", reject).once("exit", () => resolve()));
    }),
  );
  for (const round of paths.keys()) {
    const ready = Promise.all(workers.map((worker) => new Promise((resolve) => worker.once("message", resolve))));
    await Promise.race([ready, ended]);
    Atomics.store(gate, 0, round + 1);
    Atomics.notify(gate, 0);
  }
  await ended;
  for (const path of paths) {
    const db = openDatabase(path, ["CREATE TABLE a (x INTEGER)", "INSERT INTO a VALUES (1)"]);
    assert.equal(db.prepare("SELECT count(*) AS n FROM a").get()?.["n"], 1);
    db.close();
  }
});

test("the outbox keeps what was written in its transaction, oldest first", () => {
  const db = openDatabase(":memory:", [outboxSchema]);
  const outbox = createOutbox(db);
  assert.throws(() =>
    transaction(db, () => {
      outbox.append("lost", {});
      throw new Error("no");
    }),
  );
  const id = transaction(db, () => outbox.append("kept", { a: 1 }));
  outbox.append("kept", { a: 2 });
  assert.deepEqual(
    outbox.pending(10).map((message) => message.body),
    ['{"a":1}', '{"a":2}'],
  );
  outbox.remove(id);
  assert.equal(outbox.find(id), undefined);
  assert.equal(outbox.count(), 1);
  db.close();
});
