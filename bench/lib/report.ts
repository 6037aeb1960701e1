import { styleText } from "node:util";
import type { Plan } from "./options.ts";
import { formatFigure, type RowResult } from "./run.ts";
import type { Figures, Scenario, Study } from "./scenario.ts";
import { median, quantile } from "./stats.ts";

const BAR_WIDTH = 28;
type Style = Parameters<typeof styleText>[0];

/** Styles for a terminal; plain where stdout is none, or where NO_COLOR asks for it. */
const paint = (style: Style, text: string): string => styleText(style, text, { stream: process.stdout });

/** The one-line machine form. A row that failed has null figures and an `error`. */
export function toJson(scenario: Scenario, results: readonly RowResult[]): string {
  const round = (value: number): number | null => (Number.isFinite(value) ? Number(value.toPrecision(5)) : null);
  const rows = results.map(({ name, samples, ratio, failure }) => ({
    name,
    value: round(median(samples)),
    unit: scenario.unit,
    ratio: round(ratio),
    ...(failure === undefined ? {} : { error: failure }),
  }));
  return JSON.stringify({ scenario: scenario.name, reference: scenario.reference, rows });
}

export function toTable(scenario: Scenario, plan: Plan, results: readonly RowResult[]): string {
  const best = bestOf(
    scenario,
    results.find(({ name }) => name === scenario.reference),
  );
  const top = Math.max(...results.map(({ samples }) => (samples.length > 0 ? median(samples) : 0)));
  const nameWidth = Math.max(...results.map(({ name }) => name.length), 4);
  const head = `${"row".padEnd(nameWidth)}  ${["min", "median", "max", "cpu µs", "ratio", "at best"].map((title) => title.padStart(9)).join(" ")}`;
  const lines = results.map((result) => rowLine(scenario, result, nameWidth, top, best));
  const seconds = plan.seconds.toLocaleString("en-US", { maximumFractionDigits: 2 });
  const effort = `${Math.max(...results.map(({ samples }) => samples.length))} alternating rounds of ${seconds} s, processes started ${plan.starts} times`;
  return [
    "",
    `${paint("bold", scenario.name)}  ${scenario.summary}`,
    paint("dim", `${scenario.unit}, ${scenario.better} is better; ${effort}`),
    paint(
      "dim",
      `ratio: median over the rounds of the ratio to ${scenario.reference}; at best: ratio of the best tenth of rounds,`,
    ),
    paint("dim", "which others on the machine disturbed least; cpu: processor time a call"),
    "",
    paint("dim", head),
    ...lines,
    "",
  ].join("\n");
}

const bestOf = (scenario: Scenario, result: RowResult | undefined): number =>
  quantile(result?.samples ?? [], scenario.better === "more" ? 0.9 : 0.1);

const formatRatio = (ratio: number): string =>
  (Number.isFinite(ratio) ? ratio.toFixed(ratio < 10 ? 3 : 1) : "-").padStart(9);

function rowLine(scenario: Scenario, result: RowResult, nameWidth: number, top: number, referenceBest: number): string {
  const { name, samples, cpu, ratio, failure } = result;
  const label = name.padEnd(nameWidth);
  if (failure !== undefined) return `${paint("red", label)}  ${paint("red", `no figure: ${failure}`)}`;
  const middle = median(samples);
  const [min, max] = [Math.min(...samples), Math.max(...samples)].map((value) => formatFigure(value).padStart(9));
  const figures = `${min} ${paint("bold", formatFigure(middle).padStart(9))} ${max} ${formatFigure(cpu).padStart(9)}`;
  const style: Style = name === scenario.reference ? "cyan" : name.startsWith("flotilla") ? "green" : "white";
  const bar = paint(style, "█".repeat(Math.max(1, Math.round((middle / top) * BAR_WIDTH))));
  const ratios = `${formatRatio(ratio)} ${formatRatio(bestOf(scenario, result) / referenceBest)}`;
  return `${paint(style, label)}  ${figures} ${ratios}  ${bar} ${paint("dim", scenario.rows[name] ?? "")}`;
}

/** The one-line machine form of a study. */
export function studyToJson({ name }: Study, results: Readonly<Record<string, Figures>>): string {
  const rows = Object.entries(results).map(([row, figures]) => ({ name: row, ...figures }));
  return JSON.stringify({ scenario: name, rows });
}

export function studyToTable({ name, summary, rows }: Study, results: Readonly<Record<string, Figures>>): string {
  const columns = Object.keys(Object.values(results)[0] ?? {});
  const nameWidth = Math.max(...Object.keys(results).map((row) => row.length));
  const cells = (parts: readonly string[]): string =>
    parts.map((part, i) => part.padStart(columns[i]!.length)).join("  ");
  const lines = Object.entries(results).map(([row, figures]) => {
    const style: Style = row.startsWith("flotilla") ? "green" : "white";
    const values = columns.map((column) => (Number.isNaN(figures[column]) ? "-" : formatFigure(figures[column]!)));
    return `${paint(style, row.padEnd(nameWidth))}  ${cells(values)}  ${paint("dim", rows[row] ?? "")}`;
  });
  const head = `${"row".padEnd(nameWidth)}  ${cells(columns)}`;
  return ["", `${paint("bold", name)}  ${summary}`, "", paint("dim", head), ...lines, ""].join("\n");
}
