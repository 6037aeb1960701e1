import { styleText } from "node:util";
import { holds, type Result, rounded, type Scenario } from "./scenario.ts";

type Style = "bold" | "green" | "red" | "dim";
const paint = (style: Style, text: string): string => styleText(style, text, { stream: process.stdout });

/** A result as a table with what was expected of it. */
export function toTable({ name, summary }: Scenario, seed: number, { rows, expectations }: Result): string {
  const columns = [...new Set(rows.flatMap(({ figures }) => Object.keys(figures)))];
  const cells = rows.map((row) => [
    row.name,
    ...columns.map((column) => {
      const value = row.figures[column];
      return value === undefined ? "" : shown(value);
    }),
  ]);
  const widths = ["", ...columns].map((head, i) => Math.max(head.length, ...cells.map((line) => line[i]!.length)));
  const line = (parts: readonly string[]): string =>
    parts.map((part, i) => (i === 0 ? part.padEnd(widths[i]!) : part.padStart(widths[i]!))).join("  ");
  const told = expectations.map((expectation) => {
    const ok = holds(expectation);
    const bound = [
      expectation.min === undefined ? undefined : `at least ${expectation.min}`,
      expectation.max === undefined ? undefined : `at most ${expectation.max}`,
    ];
    const due = bound.filter((part) => part !== undefined).join(", ");
    const mark = ok ? paint("green", "✓") : paint("red", "✗");
    return `${mark} ${expectation.what}: ${shown(expectation.figure)} ${paint("dim", `(${due})`)}`;
  });
  return [
    `${paint("bold", name)}: ${summary} ${paint("dim", `(seed ${seed})`)}`,
    "",
    paint("dim", line(["", ...columns])),
    ...cells.map(line),
    "",
    ...told,
  ].join("\n");
}

/** What never happens takes for ever. */
function shown(value: number): string {
  return value === Infinity ? "never" : String(rounded(value));
}

/** A result as JSON; the same seed gives the same text. */
export function toJson({ name }: Scenario, seed: number, result: Result): string {
  const { rows, panels } = result;
  const expectations = result.expectations.map((expectation) => ({ ...expectation, holds: holds(expectation) }));
  const whole = { scenario: name, seed, rows, expectations, panels };
  return JSON.stringify(whole, (_key, value: unknown) => (value === Infinity ? "never" : value), 2);
}
