import { type DescEnum, type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import type { JsonSchema } from "../../endpoint/message-type.ts";
import { wellKnownSchema } from "./well-known-schema.ts";

const int64: JsonSchema = { type: "string", format: "int64", pattern: "^-?[0-9]+$" };
const uint64: JsonSchema = { type: "string", format: "uint64", pattern: "^[0-9]+$" };
const int32: JsonSchema = { type: "integer", minimum: -(2 ** 31), maximum: 2 ** 31 - 1 };
const uint32: JsonSchema = { type: "integer", minimum: 0, maximum: 2 ** 32 - 1 };
const float: JsonSchema = { anyOf: [{ type: "number" }, { type: "string", enum: ["NaN", "Infinity", "-Infinity"] }] };

const scalars: Readonly<Record<ScalarType, JsonSchema>> = {
  [ScalarType.DOUBLE]: float,
  [ScalarType.FLOAT]: float,
  [ScalarType.INT64]: int64,
  [ScalarType.UINT64]: uint64,
  [ScalarType.INT32]: int32,
  [ScalarType.FIXED64]: uint64,
  [ScalarType.FIXED32]: uint32,
  [ScalarType.BOOL]: { type: "boolean" },
  [ScalarType.STRING]: { type: "string" },
  [ScalarType.BYTES]: { type: "string", contentEncoding: "base64" },
  [ScalarType.UINT32]: uint32,
  [ScalarType.SFIXED32]: int32,
  [ScalarType.SFIXED64]: int64,
  [ScalarType.SINT32]: int32,
  [ScalarType.SINT64]: int64,
};

/**
 * The JSON Schema of a message in canonical ProtoJSON, with the messages it uses (itself, when it is recursive) as
 * `$defs` under their full names.
 *
 * Source: https://protobuf.dev/programming-guides/json/
 */
export function messageSchema(desc: DescMessage): JsonSchema {
  const special = wellKnownSchema(desc.typeName);
  if (special !== undefined) return special;
  const defs = new Map<string, JsonSchema | undefined>();
  const root = objectSchema(desc, defs);
  if (defs.size === 0) return root;
  const names = [...defs.keys()].sort();
  return { ...root, $defs: Object.fromEntries(names.map((name) => [name, defs.get(name)])) };
}

type Defs = Map<string, JsonSchema | undefined>;

function objectSchema(desc: DescMessage, defs: Defs): JsonSchema {
  const properties = Object.fromEntries(desc.fields.map((field) => [field.jsonName, fieldSchema(field, defs)]));
  const exclusive = desc.oneofs.map((oneof) => atMostOne(oneof.fields.map((field) => field.jsonName)));
  return {
    title: desc.name,
    type: "object",
    properties,
    ...(exclusive.length > 0 && { allOf: exclusive }),
    ...(desc.deprecated && { deprecated: true }),
  };
}

function fieldSchema(field: DescField, defs: Defs): JsonSchema {
  const schema = valueSchema(field, defs);
  return field.deprecated ? { ...schema, deprecated: true } : schema;
}

function valueSchema(field: DescField, defs: Defs): JsonSchema {
  switch (field.fieldKind) {
    case "scalar":
      return scalars[field.scalar];
    case "enum":
      return enumSchema(field.enum);
    case "message":
      return reference(field.message, defs);
    case "list":
      return { type: "array", items: elementSchema(field, defs) };
    case "map":
      return { type: "object", ...keySchema(field.mapKey), additionalProperties: elementSchema(field, defs) };
  }
}

type Container = DescField & { fieldKind: "list" | "map" };

function elementSchema(field: Container, defs: Defs): JsonSchema {
  const kind = field.fieldKind === "list" ? field.listKind : field.mapKind;
  if (kind === "message") return reference(field.message!, defs);
  return kind === "enum" ? enumSchema(field.enum!) : scalars[field.scalar!];
}

/** Keys are always strings in JSON. */
function keySchema(key: ScalarType): JsonSchema {
  if (key === ScalarType.STRING) return {};
  return { propertyNames: key === ScalarType.BOOL ? { enum: ["true", "false"] } : { pattern: "^-?[0-9]+$" } };
}

function enumSchema(desc: DescEnum): JsonSchema {
  if (desc.typeName === "google.protobuf.NullValue") return { type: "null" };
  return { type: "string", title: desc.name, enum: [...new Set(desc.values.map((value) => value.name))] };
}

function reference(desc: DescMessage, defs: Defs): JsonSchema {
  const special = wellKnownSchema(desc.typeName);
  if (special !== undefined) return special;
  if (!defs.has(desc.typeName)) {
    // Known before it is described: it may refer to itself.
    defs.set(desc.typeName, undefined);
    defs.set(desc.typeName, objectSchema(desc, defs));
  }
  return { $ref: `#/$defs/${desc.typeName}` };
}

/** No two of the properties together. */
function atMostOne(names: readonly string[]): JsonSchema {
  return {
    oneOf: [
      { not: { anyOf: names.map((name) => ({ required: [name] })) } },
      ...names.map((name) => ({ required: [name] })),
    ],
  };
}
