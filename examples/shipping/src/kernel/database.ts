import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";

const patienceMs = 5000;
const busy = 5;

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
    db.exec(`PRAGMA busy_timeout = ${patienceMs}; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;`);
    // Going over to the log, SQLite gives up at once when another process is doing so, whatever the busy timeout.
    patiently(() => db.exec("PRAGMA journal_mode = WAL"));
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

/** Tries again while the database is busy. Blocks the process: for its start only. */
function patiently(action: () => void): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let waitedMs = 0; ; waitedMs += 10) {
    try {
      return action();
    } catch (error) {
      if ((error as { errcode?: number }).errcode !== busy || waitedMs >= patienceMs) throw error;
      Atomics.wait(pause, 0, 0, 10);
    }
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
