import type { JsonSchema } from "../../endpoint/message-type.ts";

// Only these keywords hold schemas; what looks like a reference elsewhere (in `const`, `default`, `examples`) is data.
const SCHEMA_MAPS = new Set(["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"]);
const SCHEMA_LISTS = new Set(["allOf", "anyOf", "oneOf", "prefixItems"]);
const SCHEMAS = new Set([
  "items",
  "additionalProperties",
  "additionalItems",
  "not",
  "if",
  "then",
  "else",
  "contains",
  "propertyNames",
  "unevaluatedItems",
  "unevaluatedProperties",
  "contentSchema",
]);

/** A copy of a schema with each `$ref` in it replaced. */
export function mapReferences(schema: unknown, replace: (reference: string) => string): unknown {
  if (!isRecord(schema)) return schema;
  const copy: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(schema)) {
    if ((keyword === "$ref" || keyword === "$dynamicRef") && typeof value === "string") copy[keyword] = replace(value);
    else if (SCHEMAS.has(keyword)) copy[keyword] = mapReferences(value, replace);
    else if (SCHEMA_LISTS.has(keyword) && Array.isArray(value))
      copy[keyword] = value.map((one) => mapReferences(one, replace));
    else if (SCHEMA_MAPS.has(keyword) && isRecord(value)) {
      copy[keyword] = Object.fromEntries(
        Object.entries(value).map(([name, one]) => [name, mapReferences(one, replace)]),
      );
    } else copy[keyword] = value;
  }
  return copy;
}

/** Each `$ref` in a schema, in order. */
export function referencesOf(schema: unknown): string[] {
  const found: string[] = [];
  mapReferences(schema, (reference) => {
    found.push(reference);
    return reference;
  });
  return found;
}

/** Whether a value is an object that may be a schema. */
export function isRecord(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
