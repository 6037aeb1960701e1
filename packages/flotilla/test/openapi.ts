import assert from "node:assert/strict";
import { Validator } from "@seriousme/openapi-schema-validator";
import type { Contract } from "../src/contract/contract.ts";
import type { OpenApiDocument, OpenApiOperation } from "../src/contract/openapi/document.ts";
import { openapi } from "../src/contract/openapi/openapi.ts";
import { type Accepts, compileSchema } from "./json-schema.ts";

export const info = { title: "Test", version: "1.0.0" };

const validator = new Validator();

/** The document, once it is found valid: as OpenAPI, and each schema in it as JSON Schema. */
export async function documentOf(...contracts: Contract[]): Promise<OpenApiDocument> {
  const document = JSON.parse(JSON.stringify(openapi(contracts, info))) as OpenApiDocument;
  const { valid, errors } = await validator.validate(structuredClone(document) as unknown as Record<string, unknown>);
  assert.ok(valid, JSON.stringify(errors, null, 2));
  const ids = operations(document).map(({ operationId }) => operationId);
  assert.equal(new Set(ids).size, ids.length, "operation ids are unique");
  const schemas = new Set([...schemasIn(document)].map((schema) => JSON.stringify(schema)));
  for (const schema of schemas) compile(document, JSON.parse(schema) as object);
  for (const reference of referencesIn(document)) assert.ok(lookup(document, reference), `${reference} leads nowhere`);
  return document;
}

export function compile(document: OpenApiDocument, schema: object): Accepts {
  return compileSchema({ ...schema, components: document.components });
}

function operations(document: OpenApiDocument): OpenApiOperation[] {
  return Object.values(document.paths).flatMap((path) => Object.values(path));
}

function* schemasIn(node: unknown): Generator<object> {
  if (typeof node !== "object" || node === null) return;
  for (const [key, value] of Object.entries(node)) {
    if (key === "schema" || key === "x-message") yield value as object;
    else if (key === "schemas") yield* Object.values(value as object) as object[];
    else yield* schemasIn(value);
  }
}

function* referencesIn(node: unknown): Generator<string> {
  if (typeof node !== "object" || node === null) return;
  for (const [key, value] of Object.entries(node)) {
    if (key === "$ref" && typeof value === "string") yield value;
    else yield* referencesIn(value);
  }
}

function lookup(document: OpenApiDocument, reference: string): unknown {
  return reference
    .split("/")
    .slice(1)
    .reduce<unknown>(
      (node, part) => (node as Record<string, unknown> | undefined)?.[part.replaceAll("~1", "/")],
      document,
    );
}
