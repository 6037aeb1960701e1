import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { Contract } from "../contract.ts";
import { anyValue, Components } from "./components.ts";
import { connectPath } from "./connect-operations.ts";
import type { OpenApiDocument, OpenApiOperation, OpenApiPath, OpenApiServer } from "./document.ts";
import { errorResponses, errorSchemas } from "./errors.ts";
import { restOperation } from "./rest-operation.ts";

/** Options of {@link openapi}. */
export interface OpenApiOptions {
  /** Of the API. */
  readonly title: string;
  /** Of the API, not of OpenAPI: `1.4.0`. */
  readonly version: string;
  /** What the API is for, in Markdown. Default none. */
  readonly description?: string;
  /** Where it is served. Default none: where the document came from. */
  readonly servers?: readonly OpenApiServer[];
}

/**
 * The OpenAPI 3.1 document of contracts: the Connect path of each method and its REST route, as the HTTP transport serves
 * them. The same contracts give the same document, byte for byte.
 *
 * Schemas come from the validators (`~standard.jsonSchema`: zod and arktype have it; wrap valibot's schemas with
 * `toStandardJsonSchema` of `@valibot/to-json-schema`) and from protobuf descriptors. What a validator cannot say is
 * described as any value.
 *
 * ```ts
 * const document = openapi([Calculator], { title: "Calculator", version: "1.0.0" });
 * await writeFile("openapi.json", JSON.stringify(document, null, 2));
 * ```
 *
 * @throws TypeError when a contract is given twice, or two of them have a route in common.
 */
export function openapi(contracts: readonly Contract[], options: OpenApiOptions): OpenApiDocument {
  const components = new Components(errorSchemas);
  const paths = new Paths();
  for (const contract of contracts) {
    if (contracts.filter((other) => other.name === contract.name).length > 1) {
      throw new TypeError(`openapi: two contracts are called ${contract.name}`);
    }
    for (const method of contract.methods) addMethod(method, components, paths);
  }
  const { title, version, description, servers } = options;
  return {
    openapi: "3.1.1",
    info: { title, version, ...(description !== undefined && { description }) },
    ...(servers !== undefined && { servers }),
    tags: contracts.map(({ name, doc }) => ({ name, ...(doc !== undefined && { description: doc }) })),
    paths: paths.all(),
    components: { schemas: components.sorted(), responses: errorResponses },
  };
}

function addMethod(method: MethodInfo, components: Components, paths: Paths): void {
  const name = `${method.service}.${method.key}`;
  const input = components.message(method.input, `${name}.Request`);
  const output = components.message(method.output, `${name}.Response`);
  for (const [verb, operation] of Object.entries(connectPath(method, input ?? anyValue, output ?? anyValue))) {
    paths.add(`/${method.procedure}`, verb, operation, method);
  }
  if (method.rest === undefined) return;
  const operation = restOperation(method, method.rest, { input, output }, components);
  paths.add(method.rest.path, method.rest.method.toLowerCase(), operation, method);
}

/** The paths of a document. */
class Paths {
  readonly #paths = new Map<string, Record<string, OpenApiOperation>>();
  /** A path without the names of its parameters → the path as it was first written. */
  readonly #shapes = new Map<string, string>();

  add(path: string, verb: string, operation: OpenApiOperation, method: MethodInfo): void {
    const shape = path.replace(/\{[^}]*\}/g, "{}");
    const first = this.#shapes.get(shape) ?? path;
    this.#shapes.set(shape, first);
    const operations = this.#paths.get(first) ?? {};
    this.#paths.set(first, operations);
    const other = operations[verb];
    if (other !== undefined) {
      throw new TypeError(
        `openapi: ${method.procedure} is served at ${verb.toUpperCase()} ${path}, and so is ${other.operationId}`,
      );
    }
    operations[verb] = first === path ? operation : renamed(operation, path, first);
  }

  all(): Readonly<Record<string, OpenApiPath>> {
    return Object.fromEntries(this.#paths);
  }
}

/** OpenAPI takes /a/{x} and /a/{y} for the same path: names in a path mean nothing on the wire, so the first ones are used. */
function renamed(operation: OpenApiOperation, path: string, first: string): OpenApiOperation {
  const names = (text: string) => [...text.matchAll(/\{([^}]*)\}/g)].map((match) => match[1]!);
  const [own, used] = [names(path), names(first)];
  const parameters = operation.parameters?.map((parameter) =>
    parameter.in === "path" ? { ...parameter, name: used[own.indexOf(parameter.name)]! } : parameter,
  );
  return parameters === undefined ? operation : { ...operation, parameters };
}
