import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  create,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonValue,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import fc from "fast-check";
import { EverythingSchema, FindRequestSchema, TreeSchema } from "../../../test/gen/test/v1/kinds_pb.ts";
import { compileSchema } from "../../../test/json-schema.ts";
import { messageSchema } from "./json-schema.ts";

const compile = (desc: DescMessage) => compileSchema(messageSchema(desc));

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
const int32 = fc.integer();
const uint32 = fc.nat({ max: 2 ** 32 - 1 });
const float = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom("NaN", "Infinity", "-Infinity"),
);
const bytes = fc.uint8Array({ maxLength: 8 }).map((list) => Buffer.from(list).toString("base64"));
const duration = fc.integer({ min: -1_000, max: 1_000 }).map((n) => `${n}.5s`);
const json = fc.jsonValue({ maxDepth: 3 }).filter((value) => !JSON.stringify(value).includes("__proto__"));

const scalars: Record<ScalarType, fc.Arbitrary<unknown>> = {
  [ScalarType.DOUBLE]: float,
  [ScalarType.FLOAT]: float,
  [ScalarType.INT64]: int64,
  [ScalarType.UINT64]: uint64,
  [ScalarType.INT32]: int32,
  [ScalarType.FIXED64]: uint64,
  [ScalarType.FIXED32]: uint32,
  [ScalarType.BOOL]: fc.boolean(),
  [ScalarType.STRING]: fc.string(),
  [ScalarType.BYTES]: bytes,
  [ScalarType.UINT32]: uint32,
  [ScalarType.SFIXED32]: int32,
  [ScalarType.SFIXED64]: int64,
  [ScalarType.SINT32]: int32,
  [ScalarType.SINT64]: int64,
};

const wellKnown: Record<string, fc.Arbitrary<unknown>> = {
  Any: fc.constant({}),
  Duration: duration,
  Empty: fc.constant({}),
  FieldMask: fc.constantFrom("", "a", "a.bC,d"),
  ListValue: fc.array(json, { maxLength: 3 }),
  Struct: fc.dictionary(
    fc.string().filter((key) => key !== "__proto__"),
    json,
    { maxKeys: 3 },
  ),
  Timestamp: fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }).map((at) => at.toISOString()),
  Value: json,
};

function values(desc: DescMessage, depth: number): fc.Arbitrary<unknown> {
  const name = desc.typeName.replace(/^google\.protobuf\./, "");
  if (name !== desc.typeName) return wellKnown[name] ?? scalars[desc.fields[0]!.scalar!];
  // Of a oneof, only its first field: the others are tried by hand.
  const fields = desc.fields.filter((field) => field.oneof === undefined || field.oneof.fields[0] === field);
  const entries = fields.flatMap((field) =>
    depth === 0 && field.message !== undefined ? [] : [[field.jsonName, value(field, depth)]],
  );
  return fc.record(Object.fromEntries(entries) as Record<string, fc.Arbitrary<unknown>>, { requiredKeys: [] });
}

function value(field: DescField, depth: number): fc.Arbitrary<unknown> {
  const one =
    field.message !== undefined
      ? values(field.message, depth - 1)
      : field.enum !== undefined
        ? field.enum.name === "NullValue"
          ? fc.constant(null)
          : fc.constantFrom(...field.enum.values.map((item) => item.name))
        : scalars[field.scalar];
  if (field.fieldKind === "list") return fc.array(one, { maxLength: 3 });
  if (field.fieldKind !== "map") return one;
  const keys = {
    [ScalarType.STRING]: fc.string().filter((key) => key !== "__proto__"),
    [ScalarType.INT64]: int64,
    [ScalarType.BOOL]: fc.constantFrom("true", "false"),
  };
  return fc.dictionary(keys[field.mapKey as keyof typeof keys], one, { maxKeys: 3 });
}

describe("JSON Schema of protobuf messages", () => {
  for (const desc of [EverythingSchema, TreeSchema, FindRequestSchema] as DescMessage[]) {
    it(`${desc.typeName}: takes whatever protobuf-es writes (property)`, () => {
      const accepts = compile(desc);
      fc.assert(
        fc.property(values(desc, 3), fc.boolean(), (given, alwaysEmitImplicit) => {
          const written = toJson(desc, fromJson(desc, given as JsonValue), { alwaysEmitImplicit });
          assert.ok(accepts(written), JSON.stringify([accepts.errors, written]));
        }),
      );
    });
  }

  it("refuses what no message of the type looks like", () => {
    const accepts = compile(EverythingSchema);
    const wrong: JsonValue[] = [
      [],
      "x",
      null,
      { anInt32: "x" },
      { anInt32: 2 ** 31 },
      { aUint32: -1 },
      { anInt64: 1 },
      { anInt64: "1.5" },
      { aUint64: "-1" },
      { aBool: "true" },
      { aString: 1 },
      { colour: "COLOUR_BLUE" },
      { size: 7 },
      { longs: "1" },
      { longs: [1] },
      { nested: { note: 1 } },
      { tree: { children: [{ label: 1 }] } },
      { tree: { named: { a: { children: {} } } } },
      { texts: { a: 1 } },
      { byNumber: { x: {} } },
      { byTruth: { maybe: "" } },
      { name: "a", number: "1" },
      { name: "a", other: {} },
      { duration: "1" },
      { any: { "@type": 1 } },
      { null: 0 },
    ];
    for (const one of wrong) assert.ok(!accepts(one), JSON.stringify(one));
    for (const one of [{}, { name: "a" }, { number: "1" }, { other: {} }, { wrappedInt64: null }] as JsonValue[])
      assert.ok(accepts(one), JSON.stringify(one));
  });

  it("does not begin with a reference, for REST routes look for the fields there", () => {
    const schema = messageSchema(TreeSchema);
    assert.deepEqual(Object.keys(schema["properties"] as object), ["label", "children", "named"]);
    assert.deepEqual(Object.keys(schema["$defs"] as object), ["test.v1.Tree"]);
    assert.ok(create(TreeSchema).children.length === 0);
  });
});
