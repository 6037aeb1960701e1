import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { toStandardJsonSchema } from "@valibot/to-json-schema";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import type { Validated } from "../endpoint/message-type.ts";
import type { FieldViolation } from "../errors/details.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { Schema } from "./schema.ts";
import { SchemaType } from "./schema-type.ts";

function violationsOf(schema: Schema, value: unknown): readonly FieldViolation[] {
  const outcome = new SchemaType(schema).validate(value) as Validated;
  assert.ok("violations" in outcome, "the value should be refused");
  return outcome.violations;
}

const order = {
  zod: z.object({ items: z.array(z.object({ price: z.number(), tags: z.array(z.string()) })) }),
  valibot: v.object({ items: v.array(v.object({ price: v.number(), tags: v.array(v.string()) })) }),
  arktype: type({ items: type({ price: "number", tags: "string[]" }).array() }),
};

describe("validation", () => {
  for (const [name, schema] of Object.entries(order) as [string, Schema][]) {
    it(`${name}: gives the value, or each field that was wrong and what was expected`, () => {
      const good = { items: [{ price: 1, tags: ["a"] }] };
      assert.deepEqual(new SchemaType(schema).validate(good), { value: good });
      const wrong = violationsOf(schema, { items: [good.items[0], { price: "1", tags: ["a", 7] }] });
      assert.deepEqual(
        wrong.map(({ field }) => field),
        ["items[1].price", "items[1].tags[1]"],
      );
      assert.match(wrong[0]!.description, /number/);
      assert.match(wrong[1]!.description, /string/);
      for (const { field, description } of wrong)
        assert.ok(!description.startsWith(field), "the field is not said twice");
    });

    it(`${name}: reports a bounded number of violations`, () => {
      const items = Array.from({ length: 1_000 }, () => ({ price: "1", tags: [] }));
      const wrong = violationsOf(schema, { items });
      assert.equal(wrong.length, 20);
      assert.equal(Object.getPrototypeOf(wrong), Array.prototype);
    });

    it(`${name}: something else than an object`, () => {
      for (const value of [null, undefined, 7, "x", []]) assert.ok(violationsOf(schema, value).length > 0);
    });
  }

  it("a union says what was wrong with each form", () => {
    const options = [z.object({ kind: z.literal("a"), n: z.number() }), z.string()] as const;
    assert.deepEqual(
      violationsOf(z.object({ items: z.array(z.union(options)) }), { items: ["x", { kind: "a", n: "x" }] }),
      [
        {
          field: "items[1]",
          description:
            "Invalid input (n: Invalid input: expected number, received string; or Invalid input: expected string, received object)",
        },
      ],
    );
    const [valibot] = violationsOf(v.union([v.object({ kind: v.literal("a"), n: v.number() }), v.string()]), {
      kind: "a",
      n: "x",
    });
    assert.match(valibot!.description, /n: .*number.*; or .*string/);
    const [nested] = violationsOf(z.union([z.union([z.number(), z.boolean()]), z.null()]), "x");
    assert.match(nested!.description, /number.*boolean.*null/);
    const many = z.union([
      z.literal(1),
      z.literal(2),
      z.array(z.literal(3)),
      z.date(),
      z.null(),
      z.map(z.string(), z.string()),
    ]);
    assert.match(violationsOf(many, "x")[0]!.description, /…\)?$/);
  });

  it("a discriminated union names the discriminator", () => {
    const shape = z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("a") }),
      z.object({ kind: z.literal("b") }),
    ]);
    const [wrong] = violationsOf(shape, { kind: "c" });
    assert.equal(wrong!.field, "kind");
    assert.match(wrong!.description, /'a' \| 'b'/);
  });

  it("keys that are no identifiers are quoted, long texts are cut", () => {
    const record = z.record(z.string(), z.number());
    assert.equal(violationsOf(record, { "a.b": "x" })[0]!.field, '["a.b"]');
    assert.equal(violationsOf(z.object({ h: record }), { h: { "x-a": "x" } })[0]!.field, 'h["x-a"]');
    assert.equal(violationsOf(record, { [`k${"y".repeat(5_000)}`]: "x" })[0]!.field.length, 300);
    assert.ok(violationsOf(type({ a: "'x'" }), { a: "y".repeat(10_000) })[0]!.description.length <= 300);
  });

  it("validators may be asynchronous", async () => {
    const schema = z.object({ name: z.string().refine(async (name) => name !== "taken", "is taken") });
    const message = new SchemaType({
      "~standard": { ...schema["~standard"], validate: async (value) => schema["~standard"].validate(value) },
    });
    assert.deepEqual(await message.validate({ name: "free" }), { value: { name: "free" } });
    assert.deepEqual(await message.validate({ name: "taken" }), {
      violations: [{ field: "name", description: "is taken" }],
    });
  });

  it("zod's own asynchronous refinements work without more", async () => {
    const message = new SchemaType(z.object({ name: z.string().refine(async (name) => name !== "taken", "is taken") }));
    assert.deepEqual(await message.validate({ name: "free" }), { value: { name: "free" } });
    assert.deepEqual(await message.validate({ name: "taken" }), {
      violations: [{ field: "name", description: "is taken" }],
    });
  });

  it("what a validator throws is passed on, at once or later", async () => {
    const bug = new Error("bug in the validator");
    const throwing = new SchemaType({
      "~standard": {
        version: 1,
        vendor: "test",
        validate: () => {
          throw bug;
        },
      },
    });
    assert.throws(() => throwing.validate({}), bug);
    const rejecting = new SchemaType({
      "~standard": { version: 1, vendor: "test", validate: () => Promise.reject(bug) },
    });
    await assert.rejects(async () => rejecting.validate({}), bug);
  });
});

describe("JSON of a Standard Schema message", () => {
  const message = new SchemaType(z.object({ a: z.number() }));

  it("is read and written", () => {
    assert.deepEqual(message.fromJson('{"a":1}'), { a: 1 });
    assert.equal(message.toJson({ a: 1 }), '{"a":1}');
    assert.equal(message.toJson(undefined), "{}");
  });

  it("what has none is an internal error that keeps its cause", () => {
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    for (const value of [cycle, { n: 1n }, () => 1, Symbol("s")]) {
      assert.throws(
        () => message.toJson(value),
        (error: ServiceError) => error instanceof ServiceError && error.code === "internal",
      );
    }
  });
});

describe("JSON Schema of a Standard Schema message", () => {
  it("comes from zod and arktype, and from valibot by toStandardJsonSchema", () => {
    for (const schema of [
      z.object({ a: z.number() }),
      type({ a: "number" }),
      toStandardJsonSchema(v.object({ a: v.number() })),
    ] as Schema[]) {
      const { properties, required } = new SchemaType(schema).jsonSchema("input")!;
      assert.deepEqual(properties, { a: { type: "number" } });
      assert.deepEqual(required, ["a"]);
    }
  });

  it("tells input from output", () => {
    const message = new SchemaType(z.object({ a: z.number().default(1) }));
    assert.equal(message.jsonSchema("input")!["required"], undefined);
    assert.deepEqual(message.jsonSchema("output")!["required"], ["a"]);
  });

  it("is undefined where the validator gives none", () => {
    assert.equal(new SchemaType(v.object({ a: v.number() })).jsonSchema("input"), undefined);
    assert.equal(new SchemaType(z.object({ at: z.date() })).jsonSchema("input"), undefined);
  });
});
