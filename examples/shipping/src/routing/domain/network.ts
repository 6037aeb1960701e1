import type { UnLocode } from "../../kernel/un-locode.ts";
import type { Call, Line } from "./timetable.ts";

/** A line with its ports as numbers. */
export interface NetworkLine {
  readonly line: Line;
  /** The port of each call, as its number in `ports`. */
  readonly ports: readonly number[];
  readonly calls: readonly Call[];
}

/** The lines laid out for searching: ports numbered, and for every port the calls at it. Immutable; made once. */
export interface Network {
  readonly ports: readonly UnLocode[];
  readonly numbers: ReadonlyMap<UnLocode, number>;
  readonly lines: readonly NetworkLine[];
  readonly byId: ReadonlyMap<string, Line>;
  /** Per port: line number and call number, in turn. */
  readonly callsAt: readonly (readonly number[])[];
}

/** Lays out a network. */
export function createNetwork(lines: readonly Line[]): Network {
  const numbers = new Map<UnLocode, number>();
  for (const line of lines) {
    for (const { port } of line.calls) if (!numbers.has(port)) numbers.set(port, numbers.size);
  }
  const laidOut = lines.map((line) => ({
    line,
    ports: line.calls.map((call) => numbers.get(call.port) as number),
    calls: line.calls,
  }));
  const callsAt: number[][] = Array.from({ length: numbers.size }, () => []);
  laidOut.forEach(({ ports }, line) => {
    ports.forEach((port, call) => {
      callsAt[port]?.push(line, call);
    });
  });
  return {
    ports: [...numbers.keys()],
    numbers,
    lines: laidOut,
    byId: new Map(lines.map((line) => [line.id, line])),
    callsAt,
  };
}
