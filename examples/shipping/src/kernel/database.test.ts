import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
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
