// `npm run build`: compiles packages/flotilla to its dist folder, from nothing.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "./lib/process.ts";
import { root } from "./lib/root.ts";

const project = join(root, "packages", "flotilla");
await rm(join(project, "dist"), { recursive: true, force: true });
const { ok, output, how } = await runCommand(join(root, "node_modules", ".bin", "tsc"), [
  "-p",
  join(project, "tsconfig.build.json"),
]);
process.stdout.write(output);
process.stderr.write(ok ? "built packages/flotilla/dist\n" : `the build failed: ${how}\n`);
process.exitCode = ok ? 0 : 1;
