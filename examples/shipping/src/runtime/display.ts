import type { Clock } from "flotilla/clock";
import { createScreen } from "./screen.ts";
import { renderLine, renderView, type View } from "./table.ts";

/** How the launcher shows what goes on. */
export interface Display {
  /** Whether what is shown stays in sight: then nothing of it need be said as well. */
  readonly live: boolean;
  /** Characters of a line, and whether they may be coloured. */
  readonly columns: number;
  readonly colour: boolean;
  /** Something happened. */
  say(line: string): void;
  /** How things stand. */
  show(view: View): void;
  close(): void;
}

const keptLines = 6;
const plainEveryMs = 5000;

/** On a terminal: a table redrawn in place, with what was said last under it. */
export function terminalDisplay(out: NodeJS.WriteStream, clock: Clock): Display {
  const screen = createScreen(out);
  const said: string[] = [];
  const colour = out.hasColors() && process.env["NO_COLOR"] === undefined;
  return {
    live: true,
    get columns() {
      return out.columns;
    },
    colour,
    say: (line) => {
      const time = new Date(clock.epoch()).toLocaleTimeString("en-GB");
      said.push(...line.split("\n").map((part) => `${time}  ${part}`));
      said.splice(0, said.length - keptLines);
    },
    show: (view) => {
      const lines = renderView({ ...view, notes: [...view.notes, "", ...said] }, out.columns, colour);
      screen.draw(lines.slice(0, Math.max(4, out.rows - 1)));
    },
    close: () => screen.close(),
  };
}

/** Elsewhere: what is said, line by line, and every few seconds the table as one line. */
export function plainDisplay(out: { write(text: string): unknown }, clock: Clock): Display {
  let shown = Number.NEGATIVE_INFINITY;
  return {
    live: false,
    columns: 100,
    colour: false,
    say: (line) => {
      out.write(`${line}\n`);
    },
    show: (view) => {
      if (clock.now() - shown < plainEveryMs) return;
      shown = clock.now();
      out.write(`${renderLine(view)}\n`);
    },
    close: () => {},
  };
}
