import { isTest } from "./import-rules.ts";
import type { SourceFile } from "./module-graph.ts";

interface Rule {
  readonly pattern: RegExp;
  readonly why: string;
  appliesTo(path: string): boolean;
}

/** What neither the compiler nor the linter finds. */
const rules: readonly Rule[] = [
  {
    pattern: /^[ \t]*(?:await[ \t]+)?using[ \t]+\w+[ \t]*=/gm,
    why: "`using` is not in Node 22, which is supported: dispose in `finally`",
    appliesTo: (path) => path.startsWith("packages/") || path.startsWith("examples/"),
  },
  {
    pattern: /\bnew Date\(\s*\)|(?<![\w.])Date\(\s*\)/g,
    why: "time is passed in: take a Clock and call clock.epoch",
    appliesTo: (path) => /^packages\/[^/]+\/src\/(?!clock\/)/.test(path) && !isTest(path),
  },
];

/** The lines that break a rule of the sources, each with its place and the reason. */
export function sourceViolations(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) =>
    rules
      .filter((rule) => rule.appliesTo(path))
      .flatMap(({ pattern, why }) =>
        [...text.matchAll(pattern)].map(({ index }) => {
          const line = text.slice(0, index).split("\n").length;
          return `${path}:${line}: ${why}`;
        }),
      ),
  );
}
