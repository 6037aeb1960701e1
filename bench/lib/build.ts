import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..", "..");

/** Builds flotilla's `dist`, which is what every row measures, and says so when it did not build cleanly. */
export function buildFlotilla(progress: (text: string) => void): void {
  const project = join(root, "packages/flotilla/tsconfig.build.json");
  if (!existsSync(project)) {
    progress(`${project} is missing: flotilla is measured as last built, if it was`);
    return;
  }
  const tsc = join(root, "node_modules/.bin/tsc");
  const { status, stdout, stderr, error } = spawnSync(tsc, ["-p", project], { encoding: "utf8" });
  if (status === 0) return;
  const why = error?.message ?? `${stdout}${stderr}`.trim().split("\n").slice(0, 3).join("; ");
  progress(`the build of flotilla failed: its rows may be stale or missing (${why})`);
}
