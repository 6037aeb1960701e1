import { openDatabase, transaction } from "../kernel/database.ts";
import type { Itinerary } from "../kernel/itinerary.ts";
import { createOutbox, type Outbox, outboxSchema } from "../kernel/outbox.ts";
import type { Cargo } from "./domain/cargo.ts";

/** Where booking keeps its cargos. */
export interface CargoStore {
  readonly outbox: Outbox;
  find(trackingId: string): Cargo | undefined;
  /**
   * Keeps a cargo, and the message that tells of it, as one. Gives back the message's id, or undefined when somebody else
   * changed the cargo in between (its version is not the one before): read it again and decide again.
   */
  save(cargo: Cargo, topic: string): number | undefined;
  close(): void;
}

const migrations = [
  `CREATE TABLE cargo (
    tracking_id TEXT PRIMARY KEY,
    origin TEXT NOT NULL,
    destination TEXT NOT NULL,
    deadline INTEGER NOT NULL,
    itinerary TEXT,
    booked_at INTEGER NOT NULL,
    version INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;`,
  outboxSchema,
];

/** Opens booking's database. */
export function openCargoStore(path: string): CargoStore {
  const db = openDatabase(path, migrations);
  const outbox = createOutbox(db);
  const select = db.prepare("SELECT * FROM cargo WHERE tracking_id = ?");
  const insert = db.prepare("INSERT INTO cargo VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");
  const update = db.prepare(
    "UPDATE cargo SET destination = ?, itinerary = ?, version = ? WHERE tracking_id = ? AND version = ?",
  );

  return {
    outbox,
    find: (trackingId) => read(select.get(trackingId) as unknown as Row | undefined),
    save: (cargo, topic) =>
      transaction(db, () => {
        const { trackingId, specification, bookedAt, version } = cargo;
        const { origin, destination, deadline } = specification;
        const itinerary = cargo.itinerary === undefined ? null : JSON.stringify(cargo.itinerary);
        const { changes } =
          version === 1
            ? insert.run(trackingId, origin, destination, deadline, itinerary, bookedAt, version)
            : update.run(destination, itinerary, version, trackingId, version - 1);
        return changes === 1 ? outbox.append(topic, cargo) : undefined;
      }),
    close: () => db.close(),
  };
}

interface Row {
  readonly tracking_id: string;
  readonly origin: string;
  readonly destination: string;
  readonly deadline: number;
  readonly itinerary: string | null;
  readonly booked_at: number;
  readonly version: number;
}

function read(row: Row | undefined): Cargo | undefined {
  if (row === undefined) return undefined;
  return {
    trackingId: row.tracking_id,
    specification: { origin: row.origin, destination: row.destination, deadline: row.deadline },
    itinerary: row.itinerary === null ? undefined : (JSON.parse(row.itinerary) as Itinerary),
    bookedAt: row.booked_at,
    version: row.version,
  };
}
