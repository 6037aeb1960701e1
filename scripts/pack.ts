// Builds every package and packs it, as it would be published, into the folder this was called from.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { publishedPackages } from "./lib/packages.ts";
import { root } from "./lib/root.ts";

execFileSync(process.execPath, [join(root, "scripts/build.ts")], { stdio: "inherit" });
const into = process.env["INIT_CWD"] ?? root;
const args = ["pack", "--json", "--loglevel=error", "--pack-destination", into];
for (const { path } of publishedPackages()) {
  const packed = execFileSync("npm", args, { cwd: path, encoding: "utf8" });
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
  process.stdout.write(`${join(into, filename)}\n`);
}
