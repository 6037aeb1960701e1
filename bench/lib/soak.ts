import { spawn } from "node:child_process";
import { join } from "node:path";

const CALLS_A_ROUND = 1_000_000;
const file = join(import.meta.dirname, "..", "loops", "soak", "many-calls.ts");

/** What the list of scenarios says of it. */
export const soakSummary =
  "ten million calls with trouble among them, in process: the heap after each million (--quick: a tenth)";

/** Runs it in a process of its own. @returns 0 when memory stayed flat and nothing was left. */
export function runSoak(quick: boolean): Promise<number> {
  const args = ["--expose-gc", file, "10", String(quick ? CALLS_A_ROUND / 10 : CALLS_A_ROUND)];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, NODE_ENV: "production" },
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}
