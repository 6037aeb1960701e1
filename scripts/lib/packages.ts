import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Manifest } from "./package-rules.ts";
import { root } from "./root.ts";

/** A package that is published. */
export interface Package {
  /** Its folder. */
  readonly path: string;
  /** The same, from the workspace's folder: `packages/flotilla`. */
  readonly folder: string;
  readonly manifest: Manifest;
}

/** Every package that is published, the toolkit first: the others are compiled against it. */
export function publishedPackages(): Package[] {
  const folders = globSync("packages/*/package.json", { cwd: root }).map((file) =>
    file.slice(0, -"/package.json".length),
  );
  const first = (folder: string): number => (folder === "packages/flotilla" ? 0 : 1);
  return folders
    .sort((a, b) => first(a) - first(b) || a.localeCompare(b))
    .map((folder) => {
      const path = join(root, folder);
      return { path, folder, manifest: JSON.parse(readFileSync(join(path, "package.json"), "utf8")) as Manifest };
    });
}
