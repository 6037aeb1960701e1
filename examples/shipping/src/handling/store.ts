import { openDatabase, transaction } from "../kernel/database.ts";
import { createOutbox, type Outbox, outboxSchema } from "../kernel/outbox.ts";
import type { HandlingEvent, HandlingType } from "./domain/handling-event.ts";

/** Where handling keeps its events. */
export interface HandlingStore {
  readonly outbox: Outbox;
  find(eventId: string): HandlingEvent | undefined;
  isClaimed(trackingId: string): boolean;
  /**
   * Keeps an event, and the message that tells of it, as one. Gives back the message's id, or undefined when an event of that
   * id, or another claim of that cargo, came in between: read again and decide again.
   */
  append(event: HandlingEvent): number | undefined;
  close(): void;
}

/** Topic of the messages. */
const handledTopic = "cargo-handled";

const migrations = [
  `CREATE TABLE event (
    event_id TEXT PRIMARY KEY,
    tracking_id TEXT NOT NULL,
    type TEXT NOT NULL,
    location TEXT NOT NULL,
    voyage TEXT,
    completed_at INTEGER NOT NULL,
    registered_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE UNIQUE INDEX one_claim ON event (tracking_id) WHERE type = 'claim';`,
  outboxSchema,
];

/** Opens handling's database. */
export function openHandlingStore(path: string): HandlingStore {
  const db = openDatabase(path, migrations);
  const outbox = createOutbox(db);
  const select = db.prepare("SELECT * FROM event WHERE event_id = ?");
  const claim = db.prepare("SELECT 1 FROM event WHERE tracking_id = ? AND type = 'claim'");
  const insert = db.prepare("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");

  return {
    outbox,
    find: (eventId) => read(select.get(eventId) as unknown as Row | undefined),
    isClaimed: (trackingId) => claim.get(trackingId) !== undefined,
    append: (event) =>
      transaction(db, () => {
        const { eventId, trackingId, type, location, voyage, completedAt, registeredAt } = event;
        const { changes } = insert.run(eventId, trackingId, type, location, voyage ?? null, completedAt, registeredAt);
        return changes === 1 ? outbox.append(handledTopic, event) : undefined;
      }),
    close: () => db.close(),
  };
}

interface Row {
  readonly event_id: string;
  readonly tracking_id: string;
  readonly type: HandlingType;
  readonly location: string;
  readonly voyage: string | null;
  readonly completed_at: number;
  readonly registered_at: number;
}

function read(row: Row | undefined): HandlingEvent | undefined {
  if (row === undefined) return undefined;
  return {
    eventId: row.event_id,
    trackingId: row.tracking_id,
    type: row.type,
    location: row.location,
    voyage: row.voyage ?? undefined,
    completedAt: row.completed_at,
    registeredAt: row.registered_at,
  };
}
