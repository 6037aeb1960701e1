import type { Grid, Panel } from "flotilla/sim";

/** One line of a result: what was run, and its figures. */
export interface Row {
  readonly name: string;
  readonly figures: Readonly<Record<string, number>>;
}

/** What must hold of a result. */
export interface Expectation {
  readonly what: string;
  readonly figure: number;
  /** Bounds, both included. */
  readonly min?: number;
  readonly max?: number;
}

/** What a scenario has found. */
export interface Result {
  readonly rows: readonly Row[];
  readonly expectations: readonly Expectation[];
  readonly panels: readonly (Panel | Grid)[];
}

/** What a scenario is run with. */
export interface Run {
  readonly seed: number;
  /** Whether all that could be tried is: what takes too long for every day. */
  readonly full: boolean;
  /** Told of what is under way. */
  readonly progress: (what: string) => void;
}

/** A world, what happens in it, and what must hold. */
export interface Scenario {
  readonly name: string;
  readonly summary: string;
  run(run: Run): Promise<Result>;
}

export function holds({ figure, min = -Infinity, max = Infinity }: Expectation): boolean {
  return figure >= min && figure <= max;
}

/** Shown with so many digits as anybody reads. */
export function rounded(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
