import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";

/**
 * Opens a bounded context's own database, creating it when it is not there: write-ahead log, so that readers never wait
 * for the writer, and up to five seconds of patience between processes.
 *
 * @param migrations - the schema as a list of steps that only ever grows. Those a database has not had are run, all or
 *   none; several processes may open the same file at once.
 * @throws Error when the database has had more steps than are given: it was written by a later version.
 */
export function openDatabase(path: string, migrations: readonly string[]): DatabaseSync {
  if (path !== ":memory:") mkdirSync(dirname(path), { recursive: true });
  const db = new DatabaseSync(path);
  try {
    db.exec(
      "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;",
    );
    transaction(db, () => migrate(db, path, migrations));
  } catch (error) {
    db.close();
    throw error;
  }
  return db;
}

/** Runs writes as one: all of them hold, or none. Takes the write lock at once, so that it never fails half-way for want of it. */
export function transaction<T>(db: DatabaseSync, writes: () => T): T {
  db.exec("BEGIN IMMEDIATE");
  try {
    const result = writes();
    db.exec("COMMIT");
    return result;
  } catch (error) {
    db.exec("ROLLBACK");
    throw error;
  }
}

function migrate(db: DatabaseSync, path: string, migrations: readonly string[]): void {
  const had = Number(db.prepare("PRAGMA user_version").get()?.["user_version"]);
  if (had > migrations.length) {
    throw new Error(
      `${path} has schema version ${had}, this program knows ${migrations.length}: use the later program, or another folder`,
    );
  }
  for (const step of migrations.slice(had)) db.exec(step);
  db.exec(`PRAGMA user_version = ${migrations.length}`);
}
