import { parseArgs } from "node:util";
import type { Scenario } from "./scenario.ts";

/** Seconds a quick run may measure for: what is left of the 45 s it promises after start-up and a margin. */
const QUICK_BUDGET_SECONDS = 34;
const QUICK_UNTIL_MS = 40_000;
/** More and shorter rounds than full runs' fewest: what slows a shared machine for a while then slows every row of a round. */
const QUICK_ROUNDS = 7;
/** Seconds that a measurement takes beyond its own: the check of the answer, starting and stopping the load. */
const OVERHEAD_SECONDS = 0.15;
const LEAST_SECONDS = 0.2;
/** Enough for the compiler to have seen every path under load. */
const WARM_UP_SECONDS = 2;
const FINE_SECONDS = 0.04;
const FINE_OVERHEAD_SECONDS = 0.012;
const FINE_ROUNDS = 450;
const FINE_PROGRESS_LINES = 15;
const FULL_STARTS = 3;
export const LEAST_ROUNDS = 5;

export interface Options {
  readonly scenario: string | undefined;
  readonly quick: boolean;
  readonly json: boolean;
  readonly rounds: number | undefined;
  readonly rows: readonly string[] | undefined;
  readonly fine: boolean;
  readonly build: boolean;
}

export const usage = `npm run bench                      lists the scenarios
npm run bench -- NAME [options]    runs one
  --quick        under 45 s in all: ${QUICK_ROUNDS} short rounds
  --json         the last line of stdout is one JSON object
  --rounds N     rounds of alternation, at least ${LEAST_ROUNDS}
  --rows a,b     only these rows (the reference row is always in)
  --fine         slices of 40 ms: steadier ratios on a busy machine
  --no-build     measure packages/flotilla/dist as it is`;

export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    allowNegative: true,
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      rounds: { type: "string" },
      rows: { type: "string" },
      fine: { type: "boolean", default: false },
      build: { type: "boolean", default: true },
    },
  });
  if (positionals.length > 1) throw new Error(`one scenario at a time; got ${positionals.join(", ")}`);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds >= LEAST_ROUNDS && rounds <= 1000)) {
    throw new Error(`--rounds must be a whole number from ${LEAST_ROUNDS} to 1000; got ${values.rounds}`);
  }
  const rows = values.rows?.split(",").filter((row) => row !== "");
  return {
    scenario: positionals[0],
    quick: values.quick,
    json: values.json,
    rounds,
    rows,
    fine: values.fine,
    build: values.build,
  };
}

export interface Plan {
  readonly rows: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  /** Of load before anything is measured. */
  readonly warmUpSeconds: number;
  /** How often every process is started anew, the rounds being split between the starts. */
  readonly starts: number;
  /** No round begins after this many milliseconds of the process, once there are the fewest rounds allowed. */
  readonly untilMs: number;
  readonly fine: boolean;
  /** Rounds to a line of progress. */
  readonly progressEvery: number;
}

/** The rows asked for, in the order of the scenario. @throws Error when there is no such row. */
export function rowsOf({ name, rows }: Pick<Scenario, "name" | "rows">, options: Options, always?: string): string[] {
  const known = Object.keys(rows);
  const unknown = options.rows?.filter((row) => !known.includes(row)) ?? [];
  if (unknown.length > 0) throw new Error(`no row ${unknown.join(", ")} in ${name}; its rows: ${known.join(", ")}`);
  return known.filter((row) => row === always || (options.rows?.includes(row) ?? true));
}

/** Which rows are measured, how often and for how long. */
export function planRun(scenario: Scenario, options: Options): Plan {
  const rows = rowsOf(scenario, options, scenario.reference);
  const starts = options.quick ? 1 : FULL_STARTS;
  const warmUpSeconds = options.quick ? WARM_UP_SECONDS : (scenario.warmUpSeconds ?? WARM_UP_SECONDS);
  const untilMs = options.quick ? QUICK_UNTIL_MS : Infinity;
  if (options.fine)
    return { rows, warmUpSeconds, starts, untilMs, fine: true, ...fineRounds(scenario, rows.length, options) };
  const rounds = options.rounds ?? (options.quick ? QUICK_ROUNDS : scenario.rounds);
  const share = (QUICK_BUDGET_SECONDS / rows.length - WARM_UP_SECONDS) / rounds - OVERHEAD_SECONDS;
  const seconds = options.quick ? Math.max(LEAST_SECONDS, Math.min(scenario.seconds, 1, share)) : scenario.seconds;
  return { rows, rounds, seconds, warmUpSeconds, starts, untilMs, fine: false, progressEvery: 1 };
}

function fineRounds(
  scenario: Scenario,
  rows: number,
  options: Options,
): Pick<Plan, "rounds" | "seconds" | "progressEvery"> {
  if (scenario.fine !== true)
    throw new Error(`${scenario.name} has no --fine: one call of its rows may take longer than a slice`);
  const budget = QUICK_BUDGET_SECONDS / rows - WARM_UP_SECONDS;
  const quick = Math.max(LEAST_ROUNDS, Math.floor(budget / (FINE_SECONDS + FINE_OVERHEAD_SECONDS)));
  const rounds = options.rounds ?? (options.quick ? quick : FINE_ROUNDS);
  return { rounds, seconds: FINE_SECONDS, progressEvery: Math.ceil(rounds / FINE_PROGRESS_LINES) };
}
