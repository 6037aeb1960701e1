import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..", "..");

/** Builds the `dist` of what the rows measure, and says so when it did not build cleanly. */
export function buildFlotilla(progress: (text: string) => void): void {
  // The toolkit first: the others are compiled against it.
  for (const name of ["flotilla", "amqp", "nats"]) build(name, progress);
}

function build(name: string, progress: (text: string) => void): void {
  const project = join(root, `packages/${name}/tsconfig.build.json`);
  if (!existsSync(project)) {
    progress(`${project} is missing: ${name} is measured as last built, if it was`);
    return;
  }
  const tsc = join(root, "node_modules/.bin/tsc");
  const { status, stdout, stderr, error } = spawnSync(tsc, ["-p", project], { encoding: "utf8" });
  if (status === 0) return;
  const why = error?.message ?? `${stdout}${stderr}`.trim().split("\n").slice(0, 3).join("; ");
  progress(`the build of ${name} failed: its rows may be stale or missing (${why})`);
}
