// What is published is what works: builds and packs the toolkit, installs the tarball into an empty project, imports every
// subpath there with plain Node, and compiles a program that imports them all without skipping the declarations.
import { globSync, mkdtempSync, readFileSync } from "node:fs";
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportsViolations, type Manifest, packedViolations } from "./lib/package-rules.ts";
import { type RunOptions, runCommand } from "./lib/process.ts";
import { root } from "./lib/root.ts";

const source = join(root, "packages", "flotilla");
const tsc = join(root, "node_modules", ".bin", "tsc");
const temporary = mkdtempSync(join(tmpdir(), "flotilla-package-"));
const staging = join(temporary, "staging");
const consumer = join(temporary, "consumer");

async function mustRun(
  what: string,
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { ok, how, output } = await runCommand(command, args, { env: { NO_COLOR: "1", FORCE_COLOR: "0" }, ...options });
  if (!ok) throw new Error(`${what} failed: ${how}\n${output}`);
  return output;
}

/** Builds and packs a copy, so that the package's own dist folder is left alone. Returns the tarball and what is in it. */
async function pack(): Promise<{ tarball: string; files: string[] }> {
  const skipped = new Set(["dist", "node_modules"].map((name) => join(source, name)));
  await cp(source, staging, { recursive: true, filter: (path) => !skipped.has(path) });
  await mustRun("the build", tsc, [
    "-p",
    join(source, "tsconfig.build.json"),
    "--outDir",
    join(staging, "dist"),
    "--pretty",
    "false",
  ]);
  const args = ["pack", "--json", "--loglevel=error", "--pack-destination", temporary];
  const output = await mustRun("npm pack", "npm", args, { cwd: staging });
  const [packed] = JSON.parse(output.slice(output.indexOf("["))) as [{ filename: string; files: { path: string }[] }];
  return { tarball: join(temporary, packed.filename), files: packed.files.map(({ path }) => path) };
}

async function install(tarball: string): Promise<void> {
  await mkdir(consumer);
  await writeFile(join(consumer, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Record<
    string,
    Record<string, string>
  >;
  const types = `@types/node@${devDependencies?.["@types/node"]}`;
  const args = ["install", tarball, types, "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
  await mustRun("npm install of the tarball", "npm", args, { cwd: consumer });
}

async function importAll(subpaths: readonly string[]): Promise<void> {
  const program = [
    `for (const subpath of ${JSON.stringify(subpaths)}) {`,
    "  const names = Object.keys(await import(subpath));",
    `  if (names.includes("default")) throw new Error(subpath + " has a default export");`,
    "}",
  ];
  await writeFile(join(consumer, "import-all.mjs"), program.join("\n"));
  await mustRun("importing every subpath", process.execPath, ["import-all.mjs"], { cwd: consumer, timeoutMs: 30_000 });
}

async function compileAll(subpaths: readonly string[]): Promise<void> {
  const program = subpaths.map((subpath, index) => `import * as m${index} from "${subpath}";\nvoid m${index};`);
  await writeFile(join(consumer, "compile-all.ts"), `${program.join("\n")}\n`);
  const common = [
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "false",
    "--target",
    "es2024",
    "--types",
    "node",
    "--pretty",
    "false",
  ];
  for (const module of [
    ["--module", "nodenext"],
    ["--module", "esnext", "--moduleResolution", "bundler"],
  ]) {
    const args = [...common, ...module, "--ignoreConfig", "compile-all.ts"];
    await mustRun(`compiling against the published types (${module.join(" ")})`, tsc, args, { cwd: consumer });
  }
}

try {
  const manifest = JSON.parse(readFileSync(join(source, "package.json"), "utf8")) as Manifest;
  const indexes = globSync("src/**/index.ts", { cwd: source }).sort();
  const violations = exportsViolations(manifest, indexes);
  const { tarball, files } = await pack();
  violations.push(...packedViolations(manifest, files));
  if (violations.length > 0) throw new Error(violations.join("\n"));
  const subpaths = Object.keys(manifest.exports).map((subpath) => `flotilla${subpath.slice(1)}`);
  await install(tarball);
  await importAll(subpaths);
  await compileAll(subpaths);
  process.stdout.write(`${files.length} files packed; ${subpaths.length} subpaths import and compile\n`);
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  await rm(temporary, { recursive: true, force: true });
}
