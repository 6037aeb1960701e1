// What is published is what works: builds and packs every package, installs the tarballs into an empty project, imports every
// subpath there with plain Node, and compiles a program that imports them all without skipping the declarations.
import { globSync, mkdtempSync, readFileSync } from "node:fs";
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportsViolations, packedViolations, versionViolations } from "./lib/package-rules.ts";
import { type Package, publishedPackages } from "./lib/packages.ts";
import { type RunOptions, runCommand } from "./lib/process.ts";
import { root } from "./lib/root.ts";

const tsc = join(root, "node_modules", ".bin", "tsc");
const temporary = mkdtempSync(join(tmpdir(), "flotilla-package-"));
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

/** Makes the empty project, with what has been published of others: the types of Node, and what the packages depend on. */
async function prepare(packages: readonly Package[]): Promise<void> {
  await mkdir(consumer);
  await writeFile(join(consumer, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }));
  await cp(join(root, "tsconfig.base.json"), join(consumer, "tsconfig.base.json"));
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Record<
    string,
    Record<string, string>
  >;
  const others = packages.flatMap(({ manifest }) => Object.entries(manifest.dependencies ?? {}));
  await install(
    `@types/node@${devDependencies?.["@types/node"]}`,
    ...others.map(([name, version]) => `${name}@${version}`),
  );
}

async function install(...what: string[]): Promise<void> {
  const args = ["install", ...what, "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
  await mustRun(`npm install of ${what.join(", ")}`, "npm", args, { cwd: consumer });
}

/**
 * Builds and packs a copy, so that the package's own dist folder is left alone. It lies in the empty project, where it is compiled
 * against what was packed before it. Returns the tarball and what is in it.
 */
async function pack({ path, folder }: Package): Promise<{ tarball: string; files: string[] }> {
  const copy = join(consumer, folder);
  const skipped = new Set(["dist", "node_modules"].map((name) => join(path, name)));
  await cp(path, copy, { recursive: true, filter: (file) => !skipped.has(file) });
  await mustRun(`the build of ${folder}`, tsc, ["-p", join(copy, "tsconfig.build.json"), "--pretty", "false"]);
  const args = ["pack", "--json", "--loglevel=error", "--pack-destination", temporary];
  const output = await mustRun(`npm pack of ${folder}`, "npm", args, { cwd: copy });
  const [packed] = JSON.parse(output.slice(output.indexOf("["))) as [{ filename: string; files: { path: string }[] }];
  return { tarball: join(temporary, packed.filename), files: packed.files.map(({ path: file }) => file) };
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
  const packages = publishedPackages();
  const violations = versionViolations(packages.map(({ manifest }) => manifest));
  const subpaths: string[] = [];
  let count = 0;
  await prepare(packages);
  for (const one of packages) {
    const { path, manifest } = one;
    violations.push(...exportsViolations(manifest, globSync("src/**/index.ts", { cwd: path }).sort()));
    const { tarball, files } = await pack(one);
    violations.push(...packedViolations(manifest, files));
    if (violations.length > 0) throw new Error(violations.map((line) => `${manifest.name}: ${line}`).join("\n"));
    await install(tarball);
    subpaths.push(...Object.keys(manifest.exports).map((subpath) => `${manifest.name}${subpath.slice(1)}`));
    count += files.length;
  }
  await importAll(subpaths);
  await compileAll(subpaths);
  process.stdout.write(
    `${packages.length} packages, ${count} files packed; ${subpaths.length} subpaths import and compile\n`,
  );
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  await rm(temporary, { recursive: true, force: true });
}
