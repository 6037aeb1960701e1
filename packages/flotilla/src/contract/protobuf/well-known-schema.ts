import type { JsonSchema } from "../../endpoint/message-type.ts";

const nullable = (schema: JsonSchema & { type: string }): JsonSchema => ({ ...schema, type: [schema.type, "null"] });
const nullableFloat: JsonSchema = {
  anyOf: [{ type: "number" }, { type: "string", enum: ["NaN", "Infinity", "-Infinity"] }, { type: "null" }],
};

const schemas: Readonly<Record<string, JsonSchema>> = {
  // An Any that holds nothing is an empty object.
  Any: { type: "object", properties: { "@type": { type: "string" } }, additionalProperties: true },
  BoolValue: nullable({ type: "boolean" }),
  BytesValue: nullable({ type: "string", contentEncoding: "base64" }),
  DoubleValue: nullableFloat,
  Duration: { type: "string", format: "duration-seconds", pattern: "^-?[0-9]+(\\.[0-9]{1,9})?s$" },
  Empty: { type: "object", properties: {} },
  FieldMask: { type: "string", format: "field-mask" },
  FloatValue: nullableFloat,
  Int32Value: nullable({ type: "integer", minimum: -(2 ** 31), maximum: 2 ** 31 - 1 }),
  Int64Value: nullable({ type: "string", format: "int64", pattern: "^-?[0-9]+$" }),
  ListValue: { type: "array", items: {} },
  StringValue: nullable({ type: "string" }),
  Struct: { type: "object", additionalProperties: true },
  Timestamp: { type: "string", format: "date-time" },
  UInt32Value: nullable({ type: "integer", minimum: 0, maximum: 2 ** 32 - 1 }),
  UInt64Value: nullable({ type: "string", format: "uint64", pattern: "^[0-9]+$" }),
  Value: {},
};

const PREFIX = "google.protobuf.";

/** The JSON Schema of a message that ProtoJSON writes in a form of its own; undefined for any other. */
export function wellKnownSchema(typeName: string): JsonSchema | undefined {
  if (!typeName.startsWith(PREFIX)) return undefined;
  const name = typeName.slice(PREFIX.length);
  return Object.hasOwn(schemas, name) ? schemas[name] : undefined;
}
