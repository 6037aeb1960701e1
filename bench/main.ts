import { styleText } from "node:util";
import { buildFlotilla } from "./lib/build.ts";
import { surveyMachine } from "./lib/machine.ts";
import { type Options, parseOptions, planRun, rowsOf, usage } from "./lib/options.ts";
import { studyToJson, studyToTable, toJson, toTable } from "./lib/report.ts";
import { runScenario } from "./lib/run.ts";
import type { Scenario, Study } from "./lib/scenario.ts";
import { runSoak, soaks } from "./lib/soak.ts";
import { amqpScenarios } from "./scenarios/amqp.ts";
import { balance } from "./scenarios/balance.ts";
import { chain } from "./scenarios/chain.ts";
import { client } from "./scenarios/client.ts";
import { context } from "./scenarios/context.ts";
import { discovery } from "./scenarios/discovery.ts";
import { full } from "./scenarios/full.ts";
import { grpcScenarios } from "./scenarios/grpc.ts";
import { http } from "./scenarios/http.ts";
import { natsScenarios } from "./scenarios/nats.ts";
import { overload } from "./scenarios/overload.ts";
import { policies } from "./scenarios/policies.ts";
import { proxy } from "./scenarios/proxy.ts";
import { telemetry } from "./scenarios/telemetry.ts";
import { telemetryCollector } from "./scenarios/telemetry-collector.ts";
import { telemetryExport } from "./scenarios/telemetry-export.ts";

/** Every scenario: one file each in scenarios/. */
const scenarios: readonly (Scenario | Study)[] = [
  http,
  proxy,
  client,
  full,
  chain,
  policies,
  balance,
  overload,
  context,
  discovery,
  telemetry,
  telemetryExport,
  telemetryCollector,
  ...grpcScenarios,
  ...amqpScenarios,
  ...natsScenarios,
];

const progress = (text: string): void => {
  process.stderr.write(`${styleText("dim", text, { stream: process.stderr })}\n`);
};

function listScenarios(): string {
  const lines = scenarios.map((scenario) => {
    const { name, summary, rows } = scenario;
    const reference = "reference" in scenario ? scenario.reference : undefined;
    const names = Object.keys(rows).map((row) => (row === reference ? `${row} (reference)` : row));
    return `  ${styleText("bold", name.padEnd(19), { stream: process.stdout })} ${summary}\n                      rows: ${names.join(", ")}`;
  });
  for (const [name, { summary }] of Object.entries(soaks))
    lines.push(`  ${styleText("bold", name.padEnd(19), { stream: process.stdout })} ${summary}`);
  return `${usage}\n\nScenarios\n${lines.join("\n")}\n`;
}

async function main(options: Options): Promise<number> {
  if (options.scenario === undefined) {
    process.stdout.write(listScenarios());
    return 0;
  }
  const soak = soaks[options.scenario];
  if (soak !== undefined) {
    if (options.build) buildFlotilla(progress);
    return runSoak(soak, options.quick);
  }
  const scenario = scenarios.find(({ name }) => name === options.scenario);
  if (scenario === undefined) {
    const names = [...scenarios.map(({ name }) => name), ...Object.keys(soaks)];
    throw new Error(`no scenario ${options.scenario}; there are ${names.join(", ")}`);
  }
  if ("run" in scenario) return study(scenario, options);
  const plan = planRun(scenario, options);
  if (options.build) buildFlotilla(progress);
  const results = await runScenario(scenario, plan, surveyMachine(), progress);
  process.stdout.write(`${options.json ? toJson(scenario, results) : toTable(scenario, plan, results)}\n`);
  return results.some(({ failure }) => failure !== undefined) ? 1 : 0;
}

async function study(chosen: Study, options: Options): Promise<number> {
  const rows = rowsOf(chosen, options);
  if (options.build) buildFlotilla(progress);
  const results = await chosen.run(rows, options.quick, surveyMachine(), progress);
  process.stdout.write(`${options.json ? studyToJson(chosen, results) : studyToTable(chosen, results)}\n`);
  return 0;
}

try {
  process.exitCode = await main(parseOptions(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
