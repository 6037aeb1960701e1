import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { ConfigError, readConfig } from "./config.ts";

test("what the schema makes of it: types, defaults, nothing else", () => {
  const schema = z.object({ PORT: z.coerce.number().default(8080), HOST: z.string(), EMPTY: z.string().default("d") });
  assert.deepEqual(readConfig(schema, { HOST: "a", EMPTY: "", OTHER: "x", NONE: undefined }), {
    PORT: 8080,
    HOST: "a",
    EMPTY: "d",
  });
  assert.deepEqual(readConfig(schema, { HOST: "a", PORT: "1" }).PORT, 1);
});

test("reads the environment of the process by default", () => {
  const key = "FLOTILLA_CONFIG_TEST";
  process.env[key] = "here";
  try {
    assert.deepEqual(readConfig(z.object({ [key]: z.string() })), { [key]: "here" });
  } finally {
    delete process.env[key];
  }
});

test("everything wrong is told in one error: what is not set, and what is set to something else", () => {
  const schema = z.object({
    PORT: z.coerce.number(),
    DATABASE: z.string(),
    MODE: z.enum(["a", "b"]),
    EMPTY: z.string(),
  });
  let error: unknown;
  try {
    readConfig(schema, { PORT: "x", MODE: "c", EMPTY: "" });
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error instanceof ConfigError);
  assert.equal(error.name, "ConfigError");
  assert.equal(error.problems.length, 4);
  const [port, database, mode, empty] = error.problems as [string, string, string, string];
  assert.match(port, /^PORT: .*number/);
  assert.match(database, /^DATABASE: is not set \(/);
  assert.match(mode, /^MODE: .*"a"\|"b"/);
  assert.match(empty, /^EMPTY: is not set \(/);
  assert.equal(error.message, `the configuration is not usable:\n${error.problems.map((p) => `  ${p}`).join("\n")}`);
});

describe("values are never told, whoever validates", () => {
  const json = (text: string): unknown => JSON.parse(text);
  const schemas = {
    zod: z.object({
      PASSWORD: z.string().refine(() => false, { error: ({ input }) => `not good: ${String(input)}` }),
      KEY: z.enum(["one", "two"]),
      DB: z
        .string()
        .transform(json)
        .pipe(z.object({ password: z.number() })),
      PORT: z.string().refine(() => false, { error: ({ input }) => `bad port ${String(input)}` }),
    }),
    valibot: v.object({
      PASSWORD: v.pipe(v.string(), v.email()),
      KEY: v.picklist(["one", "two"]),
      DB: v.pipe(v.string(), v.transform(json), v.object({ password: v.number() })),
      PORT: v.pipe(v.string(), v.transform(Number), v.maxValue(65_535)),
    }),
    arktype: type({
      PASSWORD: "string.email",
      KEY: "'one'|'two'",
      DB: type("string.json.parse").to({ password: "number" }),
      PORT: type("string.integer.parse").to("number < 65536"),
    }),
  };
  const source = {
    PASSWORD: 'hunter2 (+."quoted")',
    KEY: "hunter2",
    DB: '{"password":"hunter2"}',
    PORT: "712345",
    SHORT: "1",
  };
  for (const [name, schema] of Object.entries(schemas)) {
    test(name, () => {
      assert.throws(
        () => readConfig(schema, source),
        (error) => {
          assert.ok(error instanceof ConfigError);
          assert.equal(error.problems.length, 4, error.message);
          assert.doesNotMatch(error.message, /hunter2|quoted|712345/);
          assert.match(error.message, /KEY: .*one.*two/);
          assert.match(error.message, /DB\.password: /);
          assert.doesNotMatch(error.message, /is not set/);
          return true;
        },
      );
    });
  }

  test("an issue that names no variable", () => {
    const schema = z.object({ A: z.string() }).refine(() => false, { error: () => "hunter2 does not go with hunter3" });
    assert.throws(() => readConfig(schema, { A: "hunter2", B: "hunter3" }), {
      message: "the configuration is not usable:\n  configuration: (value) does not go with (value)",
    });
  });
});

test("an asynchronous schema is refused", () => {
  const schema = z.object({ A: z.string().refine(async () => true) });
  assert.throws(() => readConfig(v.objectAsync({ A: v.string() }), { A: "" }), /must be synchronous/);
  assert.throws(() => readConfig(schema, { A: "x" }));
});
