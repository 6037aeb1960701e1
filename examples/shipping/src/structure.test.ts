import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { test } from "node:test";

const root = import.meta.dirname;
const contexts = new Set(["booking", "routing", "handling", "tracking", "gateway"]);

/** The files a module imports: bare names as they are, relative ones from the root of the example. */
function importsOf(file: string): string[] {
  const source = readFileSync(resolve(root, file), "utf8");
  return [...source.matchAll(/^(?:import|export)[^"';]*from "([^"]+)";/gm)].map(([, name = ""]) =>
    name.startsWith(".") ? relative(root, resolve(root, dirname(file), name)) : name,
  );
}

const files = globSync("**/*.ts", { cwd: root }).filter((file) => !file.endsWith(".test.ts"));
const impure = new Set(["kernel/database.ts", "kernel/outbox.ts", "kernel/wire.ts", "ports/sea-ports.ts"]);

/** All that can be reached from a module by imports. */
function reach(file: string, seen = new Set<string>()): Set<string> {
  for (const name of importsOf(file)) {
    if (seen.has(name)) continue;
    seen.add(name);
    if (name.endsWith(".ts")) reach(name, seen);
  }
  return seen;
}

test("the domain knows no transport, no database, no platform, no clock", () => {
  const domain = files.filter((file) => file.includes("/domain/"));
  assert.ok(domain.length > 10);
  for (const file of domain) {
    const [context] = file.split("/");
    for (const name of reach(file)) {
      assert.ok(name.endsWith(".ts") && !impure.has(name), `${file} reaches ${name}`);
      assert.ok(/^(kernel|ports)\//.test(name) || name.startsWith(`${context}/domain/`), `${file} reaches ${name}`);
    }
    const source = readFileSync(resolve(root, file), "utf8");
    assert.doesNotMatch(source, /Date\.now|new Date\(\)|Math\.random|performance\.|setTimeout|\bprocess\./, file);
  }
});

test("a context knows another by its contract only", () => {
  for (const file of files) {
    const [context = ""] = file.split("/");
    if (!contexts.has(context)) continue;
    for (const name of importsOf(file)) {
      const [other = ""] = name.split("/");
      if (other !== context && contexts.has(other)) assert.equal(name, `${other}/contract.ts`, file);
    }
  }
});
