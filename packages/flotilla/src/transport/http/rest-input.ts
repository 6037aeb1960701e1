import { parseJson } from "../../codec/json.ts";
import type { JsonSchema, MessageType } from "../../endpoint/message-type.ts";
import type { MethodInfo, RestRoute } from "../../endpoint/method-info.ts";
import { ServiceError } from "../../errors/service-error.ts";

/** What a path or query string is turned into, as far as the schema tells. */
type Shape = "string" | "number" | "boolean" | { readonly list: "string" | "number" | "boolean" };

/** At most so many query parameters are read. */
const MAX_PARAMETERS = 100;

/**
 * Puts the input message of a REST call together: path parameters, query parameters and the fields of the JSON body are fields
 * of one object; where two name the same field, the path wins over the query and the query over the body.
 *
 * Path and query carry only text. Where the method's JSON Schema says number, boolean or array, the text is converted; where
 * it says nothing the text stays.
 */
export class RestInput {
  readonly #route: RestRoute;
  readonly #input: MessageType;
  readonly #shapes: ReadonlyMap<string, Shape>;

  constructor(info: MethodInfo, route: RestRoute) {
    this.#route = route;
    this.#input = info.input;
    this.#shapes = shapesOf(info.input.jsonSchema("input"));
  }

  /** @throws ServiceError `invalid_argument` when a part cannot be read. */
  message(parameters: readonly string[], query: string | undefined, body: string): unknown {
    const fields: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
    if (body !== "") Object.assign(fields, parseObject(body));
    if (query !== undefined && query !== "") this.#addQuery(fields, query);
    let at = 0;
    for (const segment of this.#route.segments) {
      if (typeof segment !== "string") fields[segment.name] = this.#convert(segment.name, decode(parameters[at++]!));
    }
    return this.#input.fromJsonValue({ ...fields });
  }

  #addQuery(fields: Record<string, unknown>, query: string): void {
    let count = 0;
    for (const [name, text] of new URLSearchParams(query)) {
      if (++count > MAX_PARAMETERS) {
        throw new ServiceError("invalid_argument", `the query has more than ${MAX_PARAMETERS} parameters`);
      }
      if (name === "__proto__") throw new ServiceError("invalid_argument", 'a query parameter "__proto__" is refused');
      const shape = this.#shapes.get(name);
      if (typeof shape === "object") {
        const list = Array.isArray(fields[name]) ? (fields[name] as unknown[]) : [];
        list.push(convert(shape.list, text));
        fields[name] = list;
      } else fields[name] = this.#convert(name, text);
    }
  }

  #convert(name: string, text: string): unknown {
    const shape = this.#shapes.get(name);
    return shape === undefined || typeof shape === "object" ? text : convert(shape, text);
  }
}

function parseObject(body: string): object {
  const value = parseJson(body);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ServiceError("invalid_argument", "the request body must be a JSON object");
  }
  return value;
}

/** Text that is no number or boolean stays text: the schema's own error says then what was expected. */
function convert(shape: "string" | "number" | "boolean", text: string): unknown {
  if (shape === "number")
    return text !== "" && text.trim() === text && Number.isFinite(Number(text)) ? Number(text) : text;
  if (shape === "boolean") return text === "true" ? true : text === "false" ? false : text;
  return text;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    throw new ServiceError("invalid_argument", "the path is not valid percent-encoding", { cause: error });
  }
}

function shapesOf(schema: JsonSchema | undefined): ReadonlyMap<string, Shape> {
  const shapes = new Map<string, Shape>();
  for (const [name, property] of Object.entries((schema?.["properties"] ?? {}) as Record<string, JsonSchema>)) {
    const type = typeOf(property, schema!);
    if (type === "array") {
      const items = typeOf(property["items"] as JsonSchema | undefined, schema!);
      shapes.set(name, { list: scalar(items) ?? "string" });
    } else {
      const shape = scalar(type);
      if (shape !== undefined) shapes.set(name, shape);
    }
  }
  return shapes;
}

function scalar(type: string | undefined): "string" | "number" | "boolean" | undefined {
  if (type === "integer" || type === "number") return "number";
  return type === "boolean" || type === "string" ? type : undefined;
}

/** The type of a property, looking through local references and unions with null. */
function typeOf(schema: JsonSchema | undefined, root: JsonSchema, depth = 0): string | undefined {
  if (schema === undefined || typeof schema !== "object" || depth > 8) return undefined;
  const type = schema["type"];
  if (typeof type === "string") return type;
  if (Array.isArray(type)) return (type as string[]).find((name) => name !== "null");
  const ref = schema["$ref"];
  if (typeof ref === "string" && ref.startsWith("#/$defs/")) {
    const target = (root["$defs"] as Record<string, JsonSchema> | undefined)?.[ref.slice("#/$defs/".length)];
    return typeOf(target, root, depth + 1);
  }
  const options = (schema["anyOf"] ?? schema["oneOf"]) as readonly JsonSchema[] | undefined;
  const types = new Set(
    (options ?? []).map((option) => typeOf(option, root, depth + 1)).filter((name) => name !== "null"),
  );
  // A union of a number and a string cannot be told apart in text.
  return types.size === 1 ? [...types][0] : undefined;
}
