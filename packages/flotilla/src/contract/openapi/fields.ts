import { isDeepStrictEqual } from "node:util";
import type { JsonSchema } from "../../endpoint/message-type.ts";
import { isRecord } from "./schema-walk.ts";

/** The top-level fields of a message. */
export interface Fields {
  readonly properties: Readonly<Record<string, JsonSchema>>;
  readonly required: readonly string[];
  /** Whether the message is an object that has these fields and no alternatives. */
  readonly plain: boolean;
}

/** What a schema stands for, its reference followed. */
export type Resolve = (schema: JsonSchema) => JsonSchema;

/** The fields that a schema names: of a union all that any form has, and as required what every form requires. */
export function fieldsOf(schema: JsonSchema | undefined, resolve: Resolve, depth = 0): Fields {
  if (schema === undefined || depth > 8) return { properties: {}, required: [], plain: false };
  const found = resolve(schema);
  const properties = propertiesOf(found);
  const required = Array.isArray(found["required"]) ? (found["required"] as string[]) : [];
  const forms = ["anyOf", "oneOf"]
    .map((keyword) => found[keyword])
    .filter((list) => Array.isArray(list)) as JsonSchema[][];
  const parts = (Array.isArray(found["allOf"]) ? (found["allOf"] as JsonSchema[]) : []).filter(
    (part) => Object.keys(propertiesOf(resolve(part))).length > 0,
  );
  if (forms.length === 0 && parts.length === 0) return { properties, required, plain: true };
  const all = [
    ...forms.map((list) => either(list.map((form) => fieldsOf(form, resolve, depth + 1)))),
    ...parts.map((part) => fieldsOf(part, resolve, depth + 1)),
  ];
  return {
    properties: Object.assign({}, ...all.map((one) => one.properties), properties) as Fields["properties"],
    required: [...new Set([...required, ...all.flatMap((one) => one.required)])],
    plain: false,
  };
}

/** Where forms differ about a field, the field is either. */
function either(forms: readonly Fields[]): Pick<Fields, "properties" | "required"> {
  const properties: Record<string, JsonSchema> = {};
  for (const name of new Set(forms.flatMap((form) => Object.keys(form.properties)))) {
    const schemas: JsonSchema[] = forms.map((form) => form.properties[name]).filter((one) => one !== undefined);
    const distinct = schemas.filter((one, at) => schemas.findIndex((other) => isDeepStrictEqual(one, other)) === at);
    properties[name] = distinct.length === 1 ? (distinct[0] as JsonSchema) : { anyOf: distinct };
  }
  const [first, ...others] = forms;
  const required = (first?.required ?? []).filter((name) => others.every((form) => form.required.includes(name)));
  return { properties, required };
}

function propertiesOf(schema: JsonSchema): Fields["properties"] {
  return isRecord(schema["properties"]) ? (schema["properties"] as Fields["properties"]) : {};
}

/** Whether a value can stand in a path or query: what is text, a number or a boolean, or a list of those. */
export function isText(schema: JsonSchema, resolve: Resolve): boolean {
  const { type, items } = resolve(schema);
  return isScalar(schema, resolve) || (type === "array" && (!isRecord(items) || isScalar(items, resolve)));
}

function isScalar(schema: JsonSchema, resolve: Resolve, depth = 0): boolean {
  if (depth > 8) return false;
  const found = resolve(schema);
  const types = new Set([found["type"]].flat());
  if (types.has("object") || types.has("array") || "properties" in found) return false;
  const forms = found["anyOf"] ?? found["oneOf"];
  return !Array.isArray(forms) || (forms as JsonSchema[]).every((form) => isScalar(form, resolve, depth + 1));
}
