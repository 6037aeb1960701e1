import { styleText } from "node:util";

/** What one step of `npm test` came to. A check counts as one; of a suite, every test counts. */
export interface StepResult {
  readonly name: string;
  readonly passed: number;
  readonly skipped: readonly Skip[];
  readonly failures: readonly Failure[];
  readonly ms: number;
}

export interface Skip {
  readonly name: string;
  readonly reason: string;
}

export interface Failure {
  readonly name: string;
  readonly output: string;
}

export interface Step {
  readonly name: string;
  /** Runs the step. `progress` takes a line for people who wait. */
  run(progress: (line: string) => void): Promise<Omit<StepResult, "name" | "ms">>;
}

const passed: Omit<StepResult, "name" | "ms"> = { passed: 1, skipped: [], failures: [] };

/** The result of a check that found something, or of one that ran well when `output` is empty. */
export function checked(name: string, output: string): Omit<StepResult, "name" | "ms"> {
  return output === "" ? passed : { passed: 0, skipped: [], failures: [{ name, output }] };
}

const MAX_FAILURE_LINES = 120;

/** Runs a step, tells how it went and prints what failed. A step that throws has failed. */
export async function runStep(step: Step, say: (line: string) => void): Promise<StepResult> {
  const start = performance.now();
  const progress = (line: string): void => say(`${dim(step.name)} ${line}`);
  const outcome = await step
    .run(progress)
    .catch((error: unknown) =>
      checked(step.name, error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
  const result = { name: step.name, ...outcome, ms: performance.now() - start };
  const { failures, skipped } = result;
  const skips = skipped.length > 0 ? `, ${skipped.length} skipped` : "";
  const verdict = failures.length > 0 ? styleText("red", "failed") : styleText("green", "passed");
  say(`${verdict} ${step.name}: ${result.passed} passed, ${failures.length} failed${skips} in ${seconds(result.ms)}`);
  for (const { name, output } of failures) say(`${styleText("red", `✗ ${name}`)}\n${indent(shorten(output))}`);
  return result;
}

/** Runs steps, at most `limit` at a time, in order. */
export async function runSteps(
  steps: readonly Step[],
  limit: number,
  say: (line: string) => void,
): Promise<StepResult[]> {
  const results: StepResult[] = [];
  const queue = [...steps.entries()];
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      results[next[0]] = await runStep(next[1], say);
    }
  };
  await Promise.all(Array.from({ length: limit }, work));
  return results;
}

/** The table of all steps, the names of the skipped tests with their reasons, and the closing line. */
export function summary(results: readonly StepResult[]): string {
  const rows = results.map(({ name, passed: ok, failures, skipped, ms }) => [
    name,
    String(ok),
    String(failures.length),
    String(skipped.length),
    seconds(ms),
  ]);
  const table = [["step", "passed", "failed", "skipped", "time"], ...rows];
  const width = Math.max(...table.map(([name]) => name?.length ?? 0));
  const lines = table.map(
    ([name = "", ...cells]) => name.padEnd(width) + cells.map((cell) => cell.padStart(9)).join(""),
  );
  const skips = results.flatMap(({ skipped }) => skipped.map(({ name, reason }) => `skipped: ${name} (${reason})`));
  return ["", ...lines, "", ...skips, closingLine(results)].join("\n");
}

export function closingLine(results: readonly StepResult[]): string {
  const sum = (count: (result: StepResult) => number): number =>
    results.reduce((total, result) => total + count(result), 0);
  const skipped = sum((result) => result.skipped.length);
  const line = `${sum((result) => result.passed)} passed, ${sum((result) => result.failures.length)} failed`;
  return skipped > 0 ? `${line}, ${skipped} skipped` : line;
}

function shorten(output: string): string {
  const lines = output.trimEnd().split("\n");
  if (lines.length <= MAX_FAILURE_LINES) return lines.join("\n");
  return [...lines.slice(0, MAX_FAILURE_LINES), `… and ${lines.length - MAX_FAILURE_LINES} lines more`].join("\n");
}

function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, "  ");
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function dim(text: string): string {
  return styleText("dim", text);
}
