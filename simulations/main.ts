// `npm run sim [-- NAME] [--seed N] [--full] [--json] [--svg FILE]`: runs one scenario, or lists them all.
import { writeFileSync } from "node:fs";
import { parseArgs, styleText } from "node:util";
import { plot } from "flotilla/sim";
import { Meter } from "./lib/meter.ts";
import { toJson, toTable } from "./lib/report.ts";
import { holds } from "./lib/scenario.ts";
import { scenarios } from "./scenarios.ts";

const usage = "npm run sim -- NAME|all [--seed N] [--full] [--json] [--svg FILE]";

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seed: { type: "string", default: "1" },
      full: { type: "boolean" },
      json: { type: "boolean" },
      svg: { type: "string" },
    },
  });
  const [name] = positionals;
  if (name === undefined) {
    const list = scenarios.map((scenario) => `  ${scenario.name.padEnd(18)} ${scenario.summary}`);
    process.stdout.write(`${usage}\n\n${list.join("\n")}\n`);
    return 0;
  }
  const chosen = name === "all" ? scenarios : scenarios.filter((scenario) => scenario.name === name);
  if (chosen.length === 0) {
    throw new Error(`no scenario ${name}; there are ${scenarios.map((scenario) => scenario.name).join(", ")}`);
  }
  const seed = Number(values.seed);
  if (!Number.isInteger(seed)) throw new Error(`--seed must be a whole number, got ${values.seed}`);
  if (values.svg !== undefined && chosen.length > 1) throw new Error("--svg draws one scenario, not all");
  const meter = new Meter();
  let failed = false;
  for (const scenario of chosen) {
    const tell = (what: string): void =>
      void process.stderr.write(`${styleText("dim", `${scenario.name}: ${what}`, { stream: process.stderr })}\n`);
    // How fast it goes differs each time: it is told beside the result, which does not.
    const inAll = meter.start();
    let sofar: (() => string) | undefined;
    const progress = (what: string): void => {
      if (sofar !== undefined) tell(`  ${sofar()}`);
      tell(what);
      sofar = meter.start();
    };
    const result = await scenario.run({ seed, full: values.full === true, progress });
    if (sofar !== undefined) tell(`  ${sofar()}`);
    tell(`${inAll()} in all`);
    process.stdout.write(`${values.json ? toJson(scenario, seed, result) : toTable(scenario, seed, result)}\n\n`);
    if (values.svg !== undefined)
      writeFileSync(values.svg, plot(`${scenario.name}, seed ${seed}`, result.panels, 1000));
    if (!result.expectations.every(holds)) failed = true;
  }
  return failed ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`sim: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
