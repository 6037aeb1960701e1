import { access, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "./process.ts";

/** The other Nodes that the unit tests must pass on: the oldest supported line and the newest. */
export const otherNodes: readonly string[] = ["22.23.3", "26.10.0"];

/** The binary of a Node version, fetched through npm into a cache folder outside the tree when it is not there yet. */
export async function fetchNode(version: string): Promise<string> {
  const name = process.platform === "win32" ? `node-win-${process.arch}` : `node-${process.platform}-${process.arch}`;
  const folder = join(process.env["XDG_CACHE_HOME"] ?? tmpdir(), "flotilla-nodes", version);
  const binary = join(folder, "node_modules", name, "bin", "node");
  if (await isThere(binary)) return binary;
  await mkdir(folder, { recursive: true });
  const args = [
    "install",
    "--no-save",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    "--prefix",
    folder,
    `${name}@${version}`,
  ];
  const result = await runCommand("npm", args, { cwd: folder });
  if (!result.ok || !(await isThere(binary))) {
    throw new Error(`Node ${version} could not be fetched (npm ${args.join(" ")}: ${result.how})\n${result.output}`);
  }
  return binary;
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
