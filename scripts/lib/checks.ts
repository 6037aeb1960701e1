import { join } from "node:path";
import { runCommand } from "./process.ts";
import { root } from "./root.ts";
import { checked, type Step } from "./step.ts";

const colourless = { NO_COLOR: "1", FORCE_COLOR: "0" };

/** A step that passes when a command ends with 0 and prints what it said otherwise. */
function command(name: string, hint: string, tool: string, ...args: string[]): Step {
  return {
    name,
    async run() {
      const result = await runCommand(tool, args, { env: colourless });
      if (result.ok) return checked(name, "");
      return checked(
        name,
        `${result.output}${hint}\n(${tool.replace(`${root}/`, "")} ${args.join(" ")}: ${result.how})`,
      );
    },
  };
}

const tool = (name: string): string => join(root, "node_modules", ".bin", name);

/** The checks that need no running service, the longest first. */
export const checks: readonly Step[] = [
  command("package", "", process.execPath, "scripts/check-package.ts"),
  command("types", "", tool("tsc"), "-p", "tsconfig.json", "--pretty", "false"),
  command("lint", "", tool("oxlint"), "--format=unix", "."),
  command("format", "npm run format mends this.", tool("biome"), "ci", "--colors=off", "--max-diagnostics=200", "."),
  command("imports", "", process.execPath, "scripts/check-imports.ts"),
  command("unused code", "", tool("knip"), "--no-progress", "--no-config-hints"),
];
