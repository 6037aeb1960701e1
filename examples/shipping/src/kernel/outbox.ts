import type { DatabaseSync } from "node:sqlite";

/** Something that another context is to hear, written in the same transaction as the fact it tells of. */
export interface Message {
  readonly id: number;
  readonly topic: string;
  readonly body: string;
}

/** The messages not yet delivered, in the context's own database. */
export interface Outbox {
  /** Call inside the transaction of the fact. Gives back the message's id. */
  append(topic: string, body: unknown): number;
  /** The oldest messages not yet delivered. */
  pending(limit: number): Message[];
  find(id: number): Message | undefined;
  /** Delivered: forget it. */
  remove(id: number): void;
  count(): number;
}

/** The schema of an outbox: one step of its context's migrations. */
export const outboxSchema = `
  CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, body TEXT NOT NULL) STRICT;
`;

/** The outbox in a database that has the schema. */
export function createOutbox(db: DatabaseSync): Outbox {
  const append = db.prepare("INSERT INTO outbox (topic, body) VALUES (?, ?)");
  const pending = db.prepare("SELECT id, topic, body FROM outbox ORDER BY id LIMIT ?");
  const find = db.prepare("SELECT id, topic, body FROM outbox WHERE id = ?");
  const remove = db.prepare("DELETE FROM outbox WHERE id = ?");
  const count = db.prepare("SELECT count(*) AS n FROM outbox");
  return {
    append: (topic, body) => Number(append.run(topic, JSON.stringify(body)).lastInsertRowid),
    pending: (limit) => pending.all(limit) as unknown as Message[],
    find: (id) => find.get(id) as unknown as Message | undefined,
    remove: (id) => {
      remove.run(id);
    },
    count: () => Number(count.get()?.["n"]),
  };
}
