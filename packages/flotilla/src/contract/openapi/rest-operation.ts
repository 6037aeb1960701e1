import type { JsonSchema, MessageType } from "../../endpoint/message-type.ts";
import type { MethodInfo, RestRoute } from "../../endpoint/method-info.ts";
import { anyValue, type Components } from "./components.ts";
import type { OpenApiOperation, OpenApiParameter, OpenApiResponse } from "./document.ts";
import { type Fields, fieldsOf, isText, type Resolve } from "./fields.ts";

/** The schemas of a method's messages; undefined where the validator gives none. */
export interface MessageSchemas {
  readonly input: JsonSchema | undefined;
  readonly output: JsonSchema | undefined;
}

/** What a REST route offers: the fields of the input in path, query and body, as the HTTP transport reads them. */
export function restOperation(
  method: MethodInfo,
  rest: RestRoute,
  schemas: MessageSchemas,
  components: Components,
): OpenApiOperation {
  const resolve = (schema: JsonSchema) => components.resolve(schema);
  const fields = fieldsOf(schemas.input, resolve);
  const inPath = rest.segments.flatMap((segment) => (typeof segment === "string" ? [] : [segment.name]));
  const left = Object.keys(fields.properties).filter((name) => !inPath.includes(name));
  const hasBody = rest.method !== "GET" && rest.method !== "DELETE";
  const inQuery = hasBody ? [] : left.filter((name) => isText(fields.properties[name]!, resolve));
  const notes = [method.doc];
  if (!hasBody && schemas.input === undefined) notes.push("The other fields of the request are query parameters.");
  const lost = hasBody ? [] : left.filter((name) => !inQuery.includes(name));
  if (lost.length > 0) notes.push(`Not to be sent by this route, for a query holds no objects: ${lost.join(", ")}.`);
  const description = notes.filter((note) => note !== undefined).join("\n\n");
  const parameters: OpenApiParameter[] = [
    ...inPath.map(
      (name): OpenApiParameter => ({
        name,
        in: "path",
        required: true,
        schema: fields.properties[name] ?? { type: "string" },
      }),
    ),
    ...inQuery.map(
      (name): OpenApiParameter => ({
        name,
        in: "query",
        ...(fields.required.includes(name) && { required: true }),
        schema: fields.properties[name]!,
      }),
    ),
  ];
  const requestBody = hasBody ? bodyOf(schemas.input, fields, inPath, left, resolve) : undefined;
  return {
    operationId: `${method.service}.${method.key}-rest`,
    tags: [method.service],
    ...(description !== "" && { description }),
    ...(parameters.length > 0 && { parameters }),
    ...(requestBody !== undefined && { requestBody }),
    responses: responses(method, rest, schemas.output, resolve),
  };
}

function bodyOf(
  input: JsonSchema | undefined,
  fields: Fields,
  inPath: readonly string[],
  left: readonly string[],
  resolve: Resolve,
): OpenApiOperation["requestBody"] | undefined {
  const body = (required: boolean, schema: JsonSchema) => ({ required, content: { "application/json": { schema } } });
  if (input === undefined) return body(false, anyValue);
  const required = fields.required.filter((name) => !inPath.includes(name));
  // Only an object whose fields are all known can be split; any other is shown whole.
  if (inPath.length === 0 || !fields.plain) return body(required.length > 0, input);
  if (left.length === 0) return undefined;
  const { title: _, required: __, ...rest } = resolve(input);
  const properties = Object.fromEntries(left.map((name) => [name, fields.properties[name]!]));
  return body(required.length > 0, { ...rest, properties, ...(required.length > 0 && { required }) });
}

function responses(
  method: MethodInfo,
  rest: RestRoute,
  output: JsonSchema | undefined,
  resolve: Resolve,
): OpenApiOperation["responses"] {
  const { empty, content } = contentOf(method.output, output && resolve(output));
  const cached = rest.method === "GET" && rest.status === 200;
  const etag = { ETag: { description: "Changes with the content.", schema: { type: "string" } } };
  const success: OpenApiResponse = {
    description: "The call succeeded.",
    ...(cached && { headers: etag }),
    ...(rest.status !== 204 && { content: { "application/json": { schema: output ?? anyValue } } }),
  };
  return {
    ...(content && { [String(rest.status)]: success }),
    ...(empty && { "204": { description: "The call succeeded, and there is nothing to say." } }),
    ...(content &&
      cached && { "304": { description: "The content is that of the `If-None-Match` header.", headers: etag } }),
    default: { $ref: "#/components/responses/Problem" },
  };
}

/** A value of each kind: something that every schema with content is likely to accept one of. */
const SAMPLES: readonly unknown[] = [{}, [], "", 0, false, new Date(0)];

/**
 * Whether a method may answer with nothing (undefined or null, sent as 204), and whether with something. Where the JSON Schema
 * does not tell, the validator is asked about a few values.
 */
function contentOf(type: MessageType, schema: JsonSchema | undefined): { empty: boolean; content: boolean } {
  const empty = accepts(type, undefined) || accepts(type, null);
  if (!empty) return { empty, content: true };
  if (schema !== undefined) return { empty, content: schema["type"] !== "null" };
  return { empty, content: SAMPLES.some((sample) => accepts(type, sample)) };
}

function accepts(type: MessageType, value: unknown): boolean {
  try {
    const outcome = type.validate(value);
    if (!(outcome instanceof Promise)) return "value" in outcome;
    // Nobody waits for it; a rejection would end the process.
    outcome.catch(() => {});
    return false;
  } catch {
    return false;
  }
}
