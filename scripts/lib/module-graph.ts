import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";

/** One `import`, `export … from`, `import()` or `import("…")` type of a file. */
export interface Import {
  /** As written: `./a.ts`, `flotilla/http`, `node:fs`. */
  readonly specifier: string;
  /** Of a relative specifier: the path of the file that it names, from the workspace's folder. */
  readonly target: string | undefined;
  readonly line: number;
}

export interface SourceFile {
  /** From the workspace's folder, with forward slashes. */
  readonly path: string;
  readonly lines: number;
  readonly text: string;
  readonly imports: readonly Import[];
}

const STATEMENT = /^(?:import|export)\b(?:[^"';]*?\bfrom)?\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/gm;
const COMMENT = /^[ \t]*(?:\/\/|\/?\*).*$/gm;

/** Every TypeScript and JavaScript source under the given globs, with what it imports. */
export function readSources(root: string, patterns: readonly string[]): SourceFile[] {
  const exclude = (name: string): boolean => ["node_modules", "dist"].includes(posix.basename(name));
  return globSync([...patterns], { cwd: root, exclude })
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), "utf8");
      return { path, text, lines: text.split("\n").length - 1, imports: importsOf(path, text) };
    });
}

/**
 * The imports of a file. Statements are found at the beginning of a line, where the formatter puts them, so that code in a
 * template string that is indented is not taken for one.
 */
export function importsOf(path: string, text: string): Import[] {
  const code = text.replaceAll(COMMENT, (comment) => " ".repeat(comment.length));
  return [...code.matchAll(STATEMENT)].map((match) => {
    const specifier = match[1] ?? match[2] ?? "";
    return {
      specifier,
      target: specifier.startsWith(".") ? posix.join(posix.dirname(path), specifier) : undefined,
      line: code.slice(0, match.index).split("\n").length,
    };
  });
}

/** The dependencies by which a workspace's published code may import, read from its package.json. */
export function dependenciesOf(root: string, workspace: string): ReadonlySet<string> {
  const file = join(root, workspace, "package.json");
  if (!existsSync(file)) throw new Error(`${workspace} has no package.json in ${dirname(file)}`);
  const { dependencies = {}, peerDependencies = {} } = JSON.parse(readFileSync(file, "utf8")) as {
    dependencies?: Record<string, string>;
    peerDependencies?: Record<string, string>;
  };
  return new Set([...Object.keys(dependencies), ...Object.keys(peerDependencies)]);
}

/** The name of the package in `@scope/name/sub/path`. */
export function packageOf(specifier: string): string {
  const [first = "", second = ""] = specifier.split("/");
  return first.startsWith("@") ? `${first}/${second}` : first;
}

/**
 * The import cycles: each strongly connected component of more than one file (or a file that imports itself), in path order.
 *
 * Algorithm: Tarjan, "Depth-first search and linear graph algorithms" (1972).
 */
export function findCycles(files: readonly SourceFile[]): string[][] {
  const targets = new Map(files.map(({ path, imports }) => [path, imports.flatMap(({ target }) => target ?? [])]));
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const cycles: string[][] = [];
  const visit = (path: string): void => {
    index.set(path, index.size);
    low.set(path, index.size - 1);
    stack.push(path);
    for (const target of targets.get(path) ?? []) {
      if (!targets.has(target)) continue;
      if (!index.has(target)) {
        visit(target);
        low.set(path, Math.min(low.get(path)!, low.get(target)!));
      } else if (stack.includes(target)) {
        low.set(path, Math.min(low.get(path)!, index.get(target)!));
      }
    }
    if (low.get(path) !== index.get(path)) return;
    const component = stack.splice(stack.indexOf(path));
    if (component.length > 1 || targets.get(path)?.includes(path)) cycles.push(component.sort());
  };
  for (const { path } of files) if (!index.has(path)) visit(path);
  return cycles;
}
