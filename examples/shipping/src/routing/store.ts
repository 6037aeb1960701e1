import { openDatabase, transaction } from "../kernel/database.ts";
import type { Port } from "../ports/port.ts";
import type { Call, Line } from "./domain/timetable.ts";

/** What routing sails: the ports it serves and the lines between them. */
export interface Schedule {
  readonly ports: readonly Port[];
  readonly lines: readonly Line[];
}

/** Where routing keeps its schedule. */
export interface ScheduleStore {
  /**
   * The schedule of a seed: read if it is there, or else drawn up and kept. All replicas share the database, and
   * whichever comes first draws it up for all; a schedule of another seed is replaced.
   */
  schedule(seed: number, drawUp: () => Schedule): Schedule;
  close(): void;
}

const migrations = [
  `CREATE TABLE drawn_up (seed INTEGER NOT NULL) STRICT;
  CREATE TABLE port (
    code TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    country TEXT NOT NULL,
    longitude REAL NOT NULL,
    latitude REAL NOT NULL
  ) STRICT;
  CREATE TABLE line (id TEXT PRIMARY KEY, carrier TEXT NOT NULL, start_offset INTEGER NOT NULL) STRICT;
  CREATE TABLE call (
    line TEXT NOT NULL REFERENCES line (id),
    position INTEGER NOT NULL,
    port TEXT NOT NULL REFERENCES port (code),
    arrive INTEGER NOT NULL,
    depart INTEGER NOT NULL,
    PRIMARY KEY (line, position)
  ) STRICT, WITHOUT ROWID;`,
];

/** Opens routing's database. */
export function openScheduleStore(path: string): ScheduleStore {
  const db = openDatabase(path, migrations);
  const drawnUp = db.prepare("SELECT seed FROM drawn_up");

  function read(): Schedule {
    const calls = Map.groupBy(
      db.prepare("SELECT line, port, arrive, depart FROM call ORDER BY line, position").all() as unknown as CallRow[],
      (call) => call.line,
    );
    const lines = db.prepare("SELECT * FROM line ORDER BY rowid").all() as unknown as LineRow[];
    return {
      ports: db.prepare("SELECT * FROM port ORDER BY rowid").all().map(readPort),
      lines: lines.map(({ id, carrier, start_offset: offset }) => ({
        id,
        carrier,
        offset,
        calls: (calls.get(id) ?? []).map(({ port, arrive, depart }) => ({ port, arrive, depart })),
      })),
    };
  }

  function write(seed: number, { ports, lines }: Schedule): void {
    db.exec("DELETE FROM call; DELETE FROM line; DELETE FROM port; DELETE FROM drawn_up;");
    const insertPort = db.prepare("INSERT INTO port VALUES (?, ?, ?, ?, ?)");
    const insertLine = db.prepare("INSERT INTO line VALUES (?, ?, ?)");
    const insertCall = db.prepare("INSERT INTO call VALUES (?, ?, ?, ?, ?)");
    for (const { code, name, country, longitude, latitude } of ports)
      insertPort.run(code, name, country, longitude, latitude);
    for (const { id, carrier, offset, calls } of lines) {
      insertLine.run(id, carrier, offset);
      for (const [position, { port, arrive, depart }] of calls.entries())
        insertCall.run(id, position, port, arrive, depart);
    }
    db.prepare("INSERT INTO drawn_up VALUES (?)").run(seed);
  }

  return {
    schedule: (seed, drawUp) =>
      transaction(db, () => {
        if (drawnUp.get()?.["seed"] !== seed) write(seed, drawUp());
        return read();
      }),
    close: () => db.close(),
  };
}

interface LineRow {
  readonly id: string;
  readonly carrier: string;
  readonly start_offset: number;
}

interface CallRow extends Call {
  readonly line: string;
}

function readPort(row: unknown): Port {
  const { code, name, country, longitude, latitude } = row as Port;
  return { code, name, country, longitude, latitude };
}
