// Holds the direction rules of ARCHITECTURE.md, the absence of import cycles, the length of files, and what the linter
// cannot see.
import { lengthViolations } from "./lib/file-length.ts";
import { importViolations } from "./lib/import-rules.ts";
import { findCycles, readSources } from "./lib/module-graph.ts";
import { root } from "./lib/root.ts";
import { sourceViolations } from "./lib/source-rules.ts";

const files = readSources(root, [
  "packages/*/{src,test}/**/*.ts",
  "examples/**/*.ts",
  "bench/**/*.ts",
  "simulations/**/*.ts",
  "scripts/**/*.{ts,mjs}",
]);
const violations = [
  ...importViolations(root, files),
  ...findCycles(files).map((cycle) => `import cycle among ${cycle.join(", ")}`),
  ...lengthViolations(files),
  ...sourceViolations(files),
];
for (const violation of violations) process.stdout.write(`${violation}\n`);
process.stdout.write(`${files.length} files, ${violations.length} violations\n`);
process.exitCode = violations.length === 0 ? 0 : 1;
