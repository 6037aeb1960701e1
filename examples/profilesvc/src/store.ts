import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Profile } from "./contract.ts";

/** Profiles in SQLite, one row each. */
export class ProfileStore implements Disposable {
  readonly #db: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #upsert: StatementSync;
  readonly #select: StatementSync;
  readonly #page: StatementSync;
  readonly #delete: StatementSync;

  /** @param file - a path, or `:memory:`. */
  constructor(file: string) {
    this.#db = new DatabaseSync(file);
    this.#db.exec(
      "PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS profile (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT",
    );
    this.#insert = this.#db.prepare("INSERT INTO profile (id, body) VALUES (?, ?) ON CONFLICT DO NOTHING");
    this.#upsert = this.#db.prepare(
      "INSERT INTO profile (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
    );
    this.#select = this.#db.prepare("SELECT body FROM profile WHERE id = ?");
    this.#page = this.#db.prepare("SELECT body FROM profile WHERE id > ? ORDER BY id LIMIT ?");
    this.#delete = this.#db.prepare("DELETE FROM profile WHERE id = ?");
  }

  /** False when the id is taken. */
  insert(profile: Profile): boolean {
    return this.#insert.run(profile.id, JSON.stringify(profile)).changes === 1;
  }

  put(profile: Profile): void {
    this.#upsert.run(profile.id, JSON.stringify(profile));
  }

  get(id: string): Profile | undefined {
    const row = this.#select.get(id) as { body: string } | undefined;
    return row === undefined ? undefined : (JSON.parse(row.body) as Profile);
  }

  page(after: string, limit: number): Profile[] {
    return (this.#page.all(after, limit) as { body: string }[]).map((row) => JSON.parse(row.body) as Profile);
  }

  remove(id: string): void {
    this.#delete.run(id);
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }
}
