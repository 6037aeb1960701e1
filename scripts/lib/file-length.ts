import { isTest } from "./import-rules.ts";
import type { SourceFile } from "./module-graph.ts";

const MAX_LINES = 300;

/** Files that are longer than 300 lines for a reason, each with its length. An entry may only shrink, and goes when it can. */
const exceptions: Readonly<Record<string, number>> = {};

/** Source files that are longer than they may be, and exceptions that have become too generous. */
export function lengthViolations(files: readonly SourceFile[], allowed = exceptions): string[] {
  const lengths = new Map(files.map(({ path, lines }) => [path, lines]));
  const tooLong = files.flatMap(({ path, lines }) => {
    const limit = allowed[path] ?? MAX_LINES;
    return lines <= limit || isTest(path) || isGenerated(path)
      ? []
      : [`${path}: ${lines} lines, of ${limit} at most: split it`];
  });
  const tooGenerous = Object.entries(allowed).flatMap(([path, limit]) => {
    const lines = lengths.get(path);
    if (lines !== undefined && lines > MAX_LINES && lines >= limit) return [];
    const mend = lines === undefined || lines <= MAX_LINES ? "remove it" : `lower it to ${lines}`;
    return [`${path}: its exception of ${limit} lines in scripts/lib/file-length.ts is no longer needed: ${mend}`];
  });
  return [...tooLong, ...tooGenerous];
}

function isGenerated(path: string): boolean {
  return path.endsWith("_pb.ts") || path.split("/").includes("gen");
}
