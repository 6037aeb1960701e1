import { parseJson } from "../codec/json.ts";
import type { JsonSchema, MessageType, Validated } from "../endpoint/message-type.ts";
import type { FieldViolation } from "../errors/details.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { Schema, SchemaIssue, SchemaResult } from "./schema.ts";

/** At most so many violations are reported of one message. */
const MAX_VIOLATIONS = 20;

/** A message described by a Standard Schema: JSON on the wire. */
export class SchemaType implements MessageType {
  readonly typeName = undefined;
  readonly binary = undefined;
  readonly #schema: Schema;

  constructor(schema: Schema) {
    this.#schema = schema;
  }

  validate(value: unknown): Validated | Promise<Validated> {
    const result = this.#schema["~standard"].validate(value);
    return result instanceof Promise ? result.then(outcome) : outcome(result);
  }

  fromJson(text: string): unknown {
    return parseJson(text);
  }

  fromJsonValue(value: unknown): unknown {
    return value;
  }

  toJson(message: unknown): string {
    // What has no content (void) is an empty object to every peer.
    if (message === undefined) return "{}";
    try {
      return JSON.stringify(message);
    } catch (error) {
      throw new ServiceError("internal", "the message cannot be written as JSON", { cause: error });
    }
  }

  jsonSchema(side: "input" | "output"): JsonSchema | undefined {
    return this.#schema["~standard"].jsonSchema?.[side]({ target: "draft-2020-12" });
  }
}

function outcome(result: SchemaResult<unknown>): Validated {
  return result.issues === undefined
    ? { value: result.value }
    : { violations: result.issues.slice(0, MAX_VIOLATIONS).map(violation) };
}

function violation(issue: SchemaIssue): FieldViolation {
  return { field: fieldPath(issue.path), description: issue.message };
}

/** `items[2].price` */
function fieldPath(path: SchemaIssue["path"]): string {
  let field = "";
  for (const part of path ?? []) {
    const key = typeof part === "object" ? part.key : part;
    if (typeof key === "number") field += `[${key}]`;
    else field += field === "" ? String(key) : `.${String(key)}`;
  }
  return field;
}
