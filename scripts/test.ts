// `npm test [-- PART_OF_A_PATH...]`: every check and every test, closing with one line over all of them. With parts of paths
// only the tests of the files that match. `--unit` (npm run test:unit): the unit and property tests alone.
import { checks } from "./lib/checks.ts";
import { fetchNode, otherNodes } from "./lib/node-versions.ts";
import { runStep, runSteps, type Step, type StepResult, summary } from "./lib/step.ts";
import { findTests, suite } from "./lib/suite.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const args = process.argv.slice(2);
const unitOnly = args.includes("--unit");
const paths = args.filter((arg) => !arg.startsWith("--"));
const ci = process.env["CI"] !== undefined && !["", "0", "false"].includes(process.env["CI"]);
const everything = !unitOnly && paths.length === 0;

const unitFiles = await findTests("unit", paths);
const integrationFiles = unitOnly ? [] : await findTests("integration", paths);
const limits = { testTimeoutMs: 60_000, fileTimeoutMs: 120_000 };

/** The unit tests on another Node; the workspace's own scripts run on one Node only and are left out. */
function unitTestsOn(version: string): Step {
  const name = `unit, Node ${version.split(".")[0]}`;
  return {
    name,
    async run(progress) {
      progress(`fetching Node ${version}`);
      const node = await fetchNode(version);
      const files = unitFiles.filter((file) => !file.startsWith("scripts/"));
      return suite({ name, files, concurrency: 2, node, ...limits }).run(progress);
    },
  };
}

const results: StepResult[] = [];
if (everything) results.push(...(await runSteps(checks, 2, say)));
if (unitFiles.length > 0 || integrationFiles.length === 0) {
  results.push(await runStep(suite({ name: "unit", files: unitFiles, concurrency: 2, ...limits }), say));
}
// One at a time: these measure time, start servers and fleets of processes, and would starve each other on two cores.
if (integrationFiles.length > 0) {
  const options = {
    name: "integration",
    files: integrationFiles,
    concurrency: 1,
    testTimeoutMs: 120_000,
    fileTimeoutMs: 300_000,
  };
  results.push(await runStep(suite(options), say));
}
if (everything && ci) results.push(...(await runSteps(otherNodes.map(unitTestsOn), 1, say)));

say(summary(results));
const failed = results.some(({ failures }) => failures.length > 0);
const skipped = results.some(({ skipped: skips }) => skips.length > 0);
process.exitCode = failed || (ci && skipped) ? 1 : 0;
