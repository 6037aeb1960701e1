import type { Machine } from "./machine.ts";

export interface Measurement {
  /** In the scenario's unit. */
  readonly value: number;
  /** Processor time a call of the process under measurement, user and system, µs: free of waits. */
  readonly cpu: number;
}

/** One thing under measurement: a server under load, a client process, a loop in a worker. */
export interface Subject {
  /**
   * Measures for about `seconds`. It first checks that the answers are right, and rejects when they are not or when any
   * call failed.
   */
  measure(seconds: number): Promise<Measurement>;
  close(): Promise<void>;
}

/** What a scenario holds open while its rows are measured in turn. */
export interface Stage {
  open(row: string): Promise<Subject>;
  close(): Promise<void>;
}

export interface Scenario {
  readonly name: string;
  /** One line for the list of scenarios. */
  readonly summary: string;
  /** The row that every ratio is taken against. */
  readonly reference: string;
  readonly unit: "req/s" | "µs";
  readonly better: "more" | "less";
  /** Row name to a few words about it; the order is that of the rounds and of the table. */
  readonly rows: Readonly<Record<string, string>>;
  /** Seconds one measurement of one row takes in a full run. */
  readonly seconds: number;
  /** The least rounds that give a steady median; never under 5. */
  readonly rounds: number;
  /** Whether rows can be measured in slices of some ten milliseconds (`--fine`). Default false. */
  readonly fine?: boolean;
  /** Of load on each row before a full run measures it, where more code must have been compiled than in two seconds. Default 2. */
  readonly warmUpSeconds?: number;
  stage(machine: Machine, fine: boolean): Promise<Stage>;
}

/** What is told of a row, by column; NaN where there is nothing to tell. */
export type Figures = Readonly<Record<string, number>>;

/** What is not one figure a row in alternating rounds: it measures in its own way, row after row. */
export interface Study {
  readonly name: string;
  readonly summary: string;
  readonly rows: Readonly<Record<string, string>>;
  run(
    rows: readonly string[],
    quick: boolean,
    machine: Machine,
    progress: (text: string) => void,
  ): Promise<Readonly<Record<string, Figures>>>;
}

/** Lets a row without resources of its own be written in one line. */
export const nothingToClose = (): Promise<void> => Promise.resolve();
