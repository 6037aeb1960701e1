import { createRequire } from "node:module";

/** Tells whether a value fits; `errors` says why the last one did not. */
export interface Accepts {
  (value: unknown): boolean;
  readonly errors?: unknown;
}

// The JSON Schema validator that the OpenAPI validator itself runs on: no dependency of our own.
const openApiValidator = import.meta.resolve("@seriousme/openapi-schema-validator");
const ajv = ["ajv", "dist", "2020.js"].join("/");
const { default: Ajv } = createRequire(openApiValidator)(ajv) as {
  default: new (options: object) => { compile(schema: object): Accepts };
};

// One for all: each would compile the schema of schemas anew.
const compiler = new Ajv({ strict: false, validateFormats: false });

/** Compiles a JSON Schema (2020-12). @throws Error when it is none. */
export function compileSchema(schema: object): Accepts {
  return compiler.compile(schema);
}
