import { openDatabase } from "../kernel/database.ts";
import type { Itinerary } from "../kernel/itinerary.ts";
import type { TrackedEvent } from "./domain/history.ts";
import type { TrackedCargo } from "./domain/tracked-cargo.ts";

/** What tracking has heard. Hearing a thing twice, or late, changes nothing. */
export interface TrackingStore {
  /** Keeps what booking decided, unless something later is known already. */
  keepCargo(cargo: TrackedCargo): void;
  /** Keeps what happened, even of a cargo that booking has not yet told of. */
  keepEvent(trackingId: string, event: TrackedEvent): void;
  findCargo(trackingId: string): TrackedCargo | undefined;
  events(trackingId: string): TrackedEvent[];
  close(): void;
}

const migrations = [
  `CREATE TABLE cargo (
    tracking_id TEXT PRIMARY KEY,
    origin TEXT NOT NULL,
    destination TEXT NOT NULL,
    deadline INTEGER NOT NULL,
    itinerary TEXT,
    version INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE event (
    tracking_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    type TEXT NOT NULL,
    location TEXT NOT NULL,
    voyage TEXT,
    completed_at INTEGER NOT NULL,
    PRIMARY KEY (tracking_id, event_id)
  ) STRICT, WITHOUT ROWID;`,
];

/** Opens tracking's database. */
export function openTrackingStore(path: string): TrackingStore {
  const db = openDatabase(path, migrations);
  const upsert = db.prepare(`
    INSERT INTO cargo VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET destination = excluded.destination, deadline = excluded.deadline,
      itinerary = excluded.itinerary, version = excluded.version
    WHERE excluded.version > cargo.version`);
  const insert = db.prepare("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");
  const cargo = db.prepare("SELECT * FROM cargo WHERE tracking_id = ?");
  const events = db.prepare("SELECT * FROM event WHERE tracking_id = ?");

  return {
    keepCargo: ({ trackingId, origin, destination, deadline, itinerary, version }) => {
      const legs = itinerary === undefined ? null : JSON.stringify(itinerary);
      upsert.run(trackingId, origin, destination, deadline, legs, version);
    },
    keepEvent: (trackingId, { eventId, type, location, voyage, completedAt }) => {
      insert.run(trackingId, eventId, type, location, voyage ?? null, completedAt);
    },
    findCargo: (trackingId) => readCargo(cargo.get(trackingId) as unknown as CargoRow | undefined),
    events: (trackingId) => (events.all(trackingId) as unknown as EventRow[]).map(readEvent),
    close: () => db.close(),
  };
}

interface CargoRow {
  readonly tracking_id: string;
  readonly origin: string;
  readonly destination: string;
  readonly deadline: number;
  readonly itinerary: string | null;
  readonly version: number;
}

interface EventRow {
  readonly event_id: string;
  readonly type: TrackedEvent["type"];
  readonly location: string;
  readonly voyage: string | null;
  readonly completed_at: number;
}

function readCargo(row: CargoRow | undefined): TrackedCargo | undefined {
  if (row === undefined) return undefined;
  const { tracking_id: trackingId, origin, destination, deadline, version } = row;
  const itinerary = row.itinerary === null ? undefined : (JSON.parse(row.itinerary) as Itinerary);
  return { trackingId, origin, destination, deadline, itinerary, version };
}

function readEvent(row: EventRow): TrackedEvent {
  const { event_id: eventId, type, location, completed_at: completedAt } = row;
  return { eventId, type, location, voyage: row.voyage ?? undefined, completedAt };
}
