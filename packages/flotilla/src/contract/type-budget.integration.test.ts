import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

// In the package's own folder, where zod and the sources are found from.
const root = fileURLToPath(new URL("../..", import.meta.url));
const src = "../src";
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");

describe("the compiler's work on a contract", () => {
  it("grows in proportion to its methods, within a budget", async (t) => {
    const few = await check(100);
    const many = await check(200);
    t.diagnostic(
      `200 methods with their implementation and a call each: ${many.instantiations} instantiations, ${many.seconds} s`,
    );
    // Counted, not timed: the same on every machine.
    assert.ok(many.instantiations < 200 * 1_500, `${many.instantiations} instantiations`);
    assert.ok(
      many.instantiations < 2.2 * few.instantiations,
      `${few.instantiations}, then ${many.instantiations} for twice as many`,
    );
  });
});

async function check(methods: number): Promise<{ instantiations: number; seconds: number }> {
  const folder = await mkdtemp(join(root, ".flotilla-types-"));
  try {
    await writeFile(join(folder, "big.ts"), source(methods));
    await writeFile(
      join(folder, "tsconfig.json"),
      JSON.stringify({ extends: "../../../tsconfig.base.json", files: ["big.ts"] }),
    );
    const { stdout } = await promisify(execFile)(process.execPath, [tsc, "-p", folder, "--extendedDiagnostics"]);
    const figure = (name: string) => Number(new RegExp(`^${name}:\\s+([\\d.]+)`, "m").exec(stdout)![1]);
    return { instantiations: figure("Instantiations"), seconds: figure("Check time") };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function source(methods: number): string {
  const each = (line: (i: number) => string) => Array.from({ length: methods }, (_, i) => line(i)).join("\n");
  return `
import { z } from "zod";
import { type Client, contract, type Implementation } from "${src}/contract/contract.ts";
import { serverStream, unary } from "${src}/contract/method.ts";
import type { Context } from "${src}/context/context.ts";

export const Big = contract("big.v1.Big", {
${each(
  (i) => `  m${i}: ${i % 5 === 4 ? "serverStream" : "unary"}({
    input: z.object({ id: z.string(), n${i}: z.number(), tags: z.array(z.string()).optional(), nested: z.object({ a: z.boolean() }) }),
    output: z.object({ v${i}: z.number(), list: z.array(z.object({ x: z.string() })) }),
  }),`,
)}
});
export class Service implements Implementation<typeof Big> {
${each((i) =>
  i % 5 === 4
    ? `  async *m${i}(_ctx: Context, { n${i} }: { n${i}: number }) { yield { v${i}: n${i}, list: [] }; }`
    : `  async m${i}(_ctx: Context, { n${i} }: { n${i}: number }) { return { v${i}: n${i}, list: [] }; }`,
)}
}
export async function use(client: Client<typeof Big>, ctx: Context): Promise<void> {
${each((i) =>
  i % 5 === 4
    ? `  for await (const { v${i} } of client.m${i}(ctx, { id: "", n${i}: 1, nested: { a: true } })) v${i}.toFixed();`
    : `  (await client.m${i}(ctx, { id: "", n${i}: 1, nested: { a: true } })).v${i}.toFixed();`,
)}
}
`;
}
