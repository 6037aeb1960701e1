import { type Instant, weekMs } from "../../kernel/time.ts";
import type { UnLocode } from "../../kernel/un-locode.ts";

/** A stop of a line: when its ships come and go, milliseconds after a voyage's start. */
export interface Call {
  readonly port: UnLocode;
  readonly arrive: number;
  readonly depart: number;
}

/**
 * A liner service: every week a ship starts its round trip from the first call and is back there at the last one.
 * So the timetable needs no end: week after week it is the same.
 */
export interface Line {
  readonly id: string;
  readonly carrier: string;
  /** Start of a voyage after the beginning of its week, milliseconds, below a week. */
  readonly offset: number;
  readonly calls: readonly Call[];
}

/** Monday, 2024-01-01: week 0 of all lines. */
export const timetableEpoch: Instant = Date.UTC(2024, 0, 1);

/** A round trip of one ship: the line and the week in which it starts. */
export interface Voyage {
  readonly line: Line;
  readonly week: number;
}

/** A voyage's number, as on the papers: `AE1-0152`. */
export function voyageNumber(lineId: string, week: number): string {
  return `${lineId}-${String(week).padStart(4, "0")}`;
}

/** When a voyage leaves its first port. */
export function voyageStart(line: Line, week: number): Instant {
  return timetableEpoch + week * weekMs + line.offset;
}

/** The voyage of a number; undefined if no line has such voyages. */
export function findVoyage(lines: ReadonlyMap<string, Line>, number: string): Voyage | undefined {
  const match = /^([A-Z0-9]+)-(\d{4,5})$/.exec(number);
  const line = lines.get(match?.[1] ?? "");
  return line === undefined ? undefined : { line, week: Number(match?.[2]) };
}

/** A carrier movement: one stretch of a voyage between neighbouring calls. */
export interface Movement {
  readonly from: UnLocode;
  readonly to: UnLocode;
  readonly departAt: Instant;
  readonly arriveAt: Instant;
}

/** The schedule of a voyage. */
export function movements({ line, week }: Voyage): Movement[] {
  const start = voyageStart(line, week);
  return line.calls.slice(1).map((call, i) => {
    const before = line.calls[i] as Call;
    return { from: before.port, to: call.port, departAt: start + before.depart, arriveAt: start + call.arrive };
  });
}
