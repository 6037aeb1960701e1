import { glob, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { TestRecord } from "./events-reporter.ts";
import { type RunResult, runCommand } from "./process.ts";
import { root } from "./root.ts";
import type { Failure, Skip, Step } from "./step.ts";

export interface SuiteOptions {
  readonly name: string;
  /** Paths of test files, from the workspace's folder. */
  readonly files: readonly string[];
  /** Test files that run at the same time, each in a process of its own. */
  readonly concurrency: number;
  /** The Node that runs the tests. Default: this one. */
  readonly node?: string;
  /** Limit of one test. */
  readonly testTimeoutMs: number;
  /** Limit of one file; a file that leaves a handle open never ends by itself. */
  readonly fileTimeoutMs: number;
  /** Folder that the files are relative to. Default: the workspace's. */
  readonly cwd?: string;
}

const PROGRESS_EVERY_MS = 10_000;
/** Every test file loads much the same modules: their types are stripped and their code compiled once. */
const compiled = join(root, "node_modules", ".cache", "node-compile");
const reporter = pathToFileURL(join(import.meta.dirname, "events-reporter.ts")).href;

/** Every test file of the workspace, in order. `include` narrows them to those whose path contains one of its texts. */
export async function findTests(kind: "unit" | "integration", include: readonly string[] = []): Promise<string[]> {
  const patterns = [
    "packages/*/{src,test}/**/*.test.ts",
    "examples/**/*.test.ts",
    "bench/**/*.test.ts",
    "simulations/**/*.test.ts",
    "scripts/**/*.test.ts",
  ];
  const found: string[] = [];
  for await (const file of glob(patterns, {
    cwd: root,
    exclude: (name) => name === "node_modules" || name === "dist",
  })) {
    if (file.endsWith(".integration.test.ts") !== (kind === "integration")) continue;
    if (include.length === 0 || include.some((text) => file.includes(text))) found.push(file);
  }
  return found.sort();
}

/** A step that runs test files, each in a fresh process, and counts every test in them. */
export function suite(options: SuiteOptions): Step {
  return {
    name: options.name,
    async run(progress) {
      const { files } = options;
      const total = { passed: 0, skipped: [] as Skip[], failures: [] as Failure[] };
      if (files.length === 0) return { ...total, failures: [{ name: options.name, output: "no test file was found" }] };
      const queue = [...files];
      const active = new Set<string>();
      const timer = setInterval(() => {
        const left = queue.length + active.size;
        progress(
          `${total.passed} passed, ${total.failures.length} failed; ${left} files to go, now ${[...active].join(", ")}`,
        );
      }, PROGRESS_EVERY_MS);
      const reports = await mkdtemp(join(tmpdir(), "flotilla-tests-"));
      const work = async (): Promise<void> => {
        for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
          active.add(file);
          const outcome = await runFile(file, join(reports, `${files.indexOf(file)}.ndjson`), options);
          active.delete(file);
          total.passed += outcome.passed;
          total.skipped.push(...outcome.skipped);
          total.failures.push(...outcome.failures);
        }
      };
      try {
        await Promise.all(Array.from({ length: options.concurrency }, work));
      } finally {
        clearInterval(timer);
        await rm(reports, { recursive: true, force: true });
      }
      return total;
    },
  };
}

interface FileOutcome {
  readonly passed: number;
  readonly skipped: readonly Skip[];
  readonly failures: readonly Failure[];
}

async function runFile(file: string, report: string, options: SuiteOptions): Promise<FileOutcome> {
  const args = [
    "--conditions=@flotilla/source",
    "--disable-warning=ExperimentalWarning",
    `--test-timeout=${options.testTimeoutMs}`,
    `--test-reporter=${reporter}`,
    `--test-reporter-destination=${report}`,
    file,
  ];
  const run = await runCommand(options.node ?? process.execPath, args, {
    cwd: options.cwd ?? root,
    timeoutMs: options.fileTimeoutMs,
    env: { NODE_ENV: "test", NODE_COMPILE_CACHE: compiled },
  });
  const records = await readRecords(report);
  const failures: Failure[] = records
    .filter(({ ok, skip }) => !ok && skip === undefined)
    .map(({ name, error = "", at }) => ({
      name: `${file}: ${name}`,
      output: `${error}\n${at === undefined ? "" : `at ${at}`}`,
    }));
  const trouble = troubleOf(run, records, failures.length > 0);
  if (trouble !== undefined) failures.push({ name: file, output: `${trouble}\n${run.output}` });
  return {
    passed: records.filter(({ ok, skip }) => ok && skip === undefined).length,
    skipped: records.flatMap(({ name, skip }) =>
      skip === undefined ? [] : [{ name: `${file}: ${name}`, reason: skip }],
    ),
    failures,
  };
}

/** What is wrong with a test file's process, apart from failed tests. */
function troubleOf(run: RunResult, records: readonly TestRecord[], testsFailed: boolean): string | undefined {
  if (run.timedOut)
    return `The process ${run.how} and was killed: something keeps it alive (a handle, a timer, a server), or it is stuck.`;
  if (run.leftProcesses) return "The test ended and left processes of its own running; they were killed.";
  if (records.length === 0)
    return run.ok ? "The file holds no test." : `The process ended with ${run.how} before any test did.`;
  if (!run.ok && !testsFailed) return `Every test passed, but the process ended with ${run.how}.`;
  return undefined;
}

async function readRecords(report: string): Promise<TestRecord[]> {
  const text = await readFile(report, "utf8").catch(() => "");
  // A killed process may leave half a line behind.
  const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as TestRecord);
}
