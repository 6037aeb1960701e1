import { stripVTControlCharacters, styleText } from "node:util";

/** One line of the live table. */
export interface ServiceRow {
  readonly name: string;
  readonly instances: number;
  /** Instances there should be. */
  readonly wanted: number;
  readonly pids: readonly number[];
  readonly perSecond: number;
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
  readonly refused: number;
  readonly errors: number;
}

/** What the live view shows. */
export interface View {
  readonly title: string;
  readonly rows: readonly ServiceRow[];
  /** Lines under the table: the customers, what happened last, what to try. */
  readonly notes: readonly string[];
}

type Style = Parameters<typeof styleText>[0];
type Paint = (style: Style, text: string) => string;

const headings = ["service", "instances", "req/s", "p50 ms", "p99 ms", "refused", "errors", "pids"] as const;

/** The view as lines of at most `columns` characters. */
export function renderView({ title, rows, notes }: View, columns: number, colour: boolean): string[] {
  const paint: Paint = colour ? (style, text) => styleText(style, text, { validateStream: false }) : (_, text) => text;
  const cells = rows.map((row) => cellsOf(row, paint));
  const widths = headings.map((heading, i) => Math.max(heading.length, ...cells.map((line) => width(line[i] ?? ""))));
  const line = (texts: readonly string[]) => texts.map((text, i) => pad(text, widths[i] ?? 0, isLeft(i))).join("  ");
  const under = notes.flatMap((note) => (/^ *curl /.test(note) ? folded(note, columns) : [note]));
  return [paint("bold", title), "", paint("dim", line(headings)), ...cells.map(line), "", ...under].map((text) =>
    cut(text, columns),
  );
}

/** A command that is longer than a line, as a shell takes it over several: what is cut off could not be copied. */
function folded(command: string, columns: number): string[] {
  const lines: string[] = [];
  const indent = " ".repeat(command.length - command.trimStart().length + 2);
  let rest = command;
  while (rest.length > columns) {
    const space = rest.lastIndexOf(" ", columns - 2);
    if (space <= indent.length) break;
    lines.push(`${rest.slice(0, space)} \\`);
    rest = indent + rest.slice(space + 1);
  }
  return [...lines, rest];
}

function cellsOf(row: ServiceRow, paint: Paint): string[] {
  const { instances, wanted, errors, refused } = row;
  const health: Style = instances >= wanted ? "green" : instances === 0 ? "red" : "yellow";
  return [
    paint("cyan", row.name),
    paint(health, instances === wanted ? String(instances) : `${instances} of ${wanted}`),
    row.perSecond.toFixed(row.perSecond < 10 ? 1 : 0),
    milliseconds(row.p50Ms),
    milliseconds(row.p99Ms),
    refused === 0 ? paint("dim", "0") : String(refused),
    errors === 0 ? paint("dim", "0") : paint("red", String(errors)),
    paint("dim", row.pids.join(" ")),
  ];
}

/** One plain line of the whole table, for a log. */
export function renderLine({ rows }: Pick<View, "rows">): string {
  return rows
    .map(
      (row) =>
        `${row.name} x${row.instances} ${row.perSecond.toFixed(0)}/s p99 ${milliseconds(row.p99Ms)} err ${row.errors}`,
    )
    .join(" | ");
}

function milliseconds(ms: number | undefined): string {
  if (ms === undefined) return "-";
  return ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0);
}

function isLeft(column: number): boolean {
  return column === 0 || column === headings.length - 1;
}

function width(text: string): number {
  return stripVTControlCharacters(text).length;
}

function pad(text: string, to: number, left: boolean): string {
  const space = " ".repeat(Math.max(0, to - width(text)));
  return left ? text + space : space + text;
}

const escape = "\u001b";
const colours = new RegExp(`(${escape}\\[[0-9;]*m)`);

/** Cuts what is visible at `columns`, leaving control sequences whole. */
function cut(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  let visible = 0;
  let result = "";
  for (const part of text.split(colours)) {
    if (part.startsWith(escape)) result += part;
    else {
      result += part.slice(0, Math.max(0, columns - visible));
      visible += part.length;
    }
  }
  return result;
}
