// `npm run build`: compiles every package to its dist folder, from nothing.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { publishedPackages } from "./lib/packages.ts";
import { runCommand } from "./lib/process.ts";
import { root } from "./lib/root.ts";

for (const { path, folder } of publishedPackages()) {
  await rm(join(path, "dist"), { recursive: true, force: true });
  const { ok, output, how } = await runCommand(join(root, "node_modules", ".bin", "tsc"), [
    "-p",
    join(path, "tsconfig.build.json"),
  ]);
  process.stdout.write(output);
  process.stderr.write(ok ? `built ${folder}/dist\n` : `the build of ${folder} failed: ${how}\n`);
  if (!ok) {
    process.exitCode = 1;
    break;
  }
}
