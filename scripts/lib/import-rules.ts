import { posix } from "node:path";
import { dependenciesOf, type Import, packageOf, type SourceFile } from "./module-graph.ts";

/** The ground floor: imports nothing but itself. */
const ground = new Set(["context", "endpoint", "contract", "errors", "clock", "metadata", "codec", "wire"]);
/** The rings: each imports the ground floor and itself. Under `transport/` every folder is a ring of its own. */
const rings = new Set(["resilience", "telemetry", "security", "discovery", "balance", "transport", "events", "audit"]);
/** Where the rings meet. */
const service = "service";
/** For tests and simulation: import anything, imported by nothing else. */
const aside = new Set(["sim", "testing"]);

const SOURCE = "packages/flotilla/src/";

/** What a source file does against the direction rules of ARCHITECTURE.md, a line for each. */
export function importViolations(root: string, files: readonly SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  return files.flatMap((file) => {
    const broken = file.imports.flatMap((imported) => {
      const why = ruleBroken(root, file, imported, byPath);
      return why === undefined ? [] : [`${file.path}:${imported.line}: imports ${imported.specifier}: ${why}`];
    });
    return [...broken, ...impureDomain(file, byPath)];
  });
}

function ruleBroken(
  root: string,
  file: SourceFile,
  imported: Import,
  byPath: ReadonlyMap<string, SourceFile>,
): string | undefined {
  const { target } = imported;
  if (target === undefined) return bareRule(root, file, imported.specifier);
  const home = workspaceOf(file.path);
  if (workspaceOf(target) !== home) {
    if (isTest(file.path) && target.startsWith("scripts/")) return undefined;
    return `a relative import stays in ${home}; other packages are imported by name and public subpath`;
  }
  if (!byPath.has(target) && /\.[cm]?[jt]s$/.test(target)) return "there is no such file";
  if (isTest(target) && !isTest(file.path)) return "only tests import tests and their fixtures";
  if (isPublished(file.path) && posix.basename(target) === "index.ts") {
    return "inside the package import files, never a folder's index.ts";
  }
  return file.path.startsWith(SOURCE) ? flotillaRule(file.path, target) : undefined;
}

function flotillaRule(path: string, target: string): string | undefined {
  if (isTest(path)) return undefined;
  if (!target.startsWith(SOURCE)) return "only tests import what lies outside src/";
  const from = folderOf(path);
  const to = folderOf(target);
  if (from === to || ground.has(to)) return undefined;
  if (aside.has(to)) return `nothing imports ${to}/, except tests`;
  if (ground.has(from)) return `the ground floor (${from}/) imports nothing above it (${to}/)`;
  if (from === service || aside.has(from)) return undefined;
  if (rings.has(ringOf(from)))
    return `${from}/ imports the ground floor only: ${to}/ is beside or above it, and service/ joins them`;
  return `the folder ${from}/ has no place in scripts/lib/import-rules.ts yet`;
}

function bareRule(root: string, file: SourceFile, specifier: string): string | undefined {
  const name = packageOf(specifier);
  if (name === "flotilla" && specifier === "flotilla") return "flotilla has no root entry; import a subpath";
  if (/^flotilla\/(?:src|dist)\b/.test(specifier)) return "only public subpaths of flotilla are imported";
  if (!isPublished(file.path) || isTest(file.path) || specifier.startsWith("node:")) return undefined;
  if (name.startsWith("@flotilla/")) return "packages import flotilla, never each other";
  if (/^flotilla\/(?:testing|sim)\b/.test(specifier)) return `nothing imports ${specifier}, except tests`;
  const allowed = dependenciesOf(root, workspaceOf(file.path));
  return allowed.has(name) ? undefined : "what is published imports only node: modules and its own dependencies";
}

/** Domain code reaches neither the toolkit nor the system, directly or through what it imports. */
function impureDomain(file: SourceFile, byPath: ReadonlyMap<string, SourceFile>): string[] {
  if (!/^examples\/[^/]+\/src\/(?:.+\/)?domain\//.test(file.path) || isTest(file.path)) return [];
  const seen = new Set<string>();
  const found: string[] = [];
  const visit = (current: SourceFile): void => {
    if (seen.has(current.path)) return;
    seen.add(current.path);
    for (const { specifier, target, line } of current.imports) {
      const next = target === undefined ? undefined : byPath.get(target);
      if (next !== undefined) visit(next);
      if (target === undefined && /^(?:flotilla|node:)/.test(specifier)) {
        const through = current === file ? "" : `, through ${current.path}:${line}`;
        found.push(
          `${file.path}: domain code reaches ${specifier}${through}: it knows neither the toolkit nor the system`,
        );
      }
    }
  };
  visit(file);
  return found;
}

/** Whether the file is part of a package that is published. */
function isPublished(path: string): boolean {
  return /^packages\/[^/]+\/src\//.test(path);
}

export function isTest(path: string): boolean {
  return /\.(?:test|type-test)\.ts$/.test(path) || /^packages\/[^/]+\/test\/|\/test-fixtures\//.test(path);
}

/** `packages/flotilla`, `examples/shipping`, `bench`, `simulations`, `scripts`. */
function workspaceOf(path: string): string {
  const [first = "", second = ""] = path.split("/");
  return first === "packages" || first === "examples" ? `${first}/${second}` : first;
}

/** `context`, `transport/http`. */
function folderOf(path: string): string {
  const [first = "", second = ""] = path.slice(SOURCE.length).split("/");
  return first === "transport" ? `${first}/${second}` : first;
}

function ringOf(folder: string): string {
  return folder.split("/")[0] ?? folder;
}
