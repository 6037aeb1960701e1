import { parseJson } from "../codec/json.ts";
import type { JsonSchema, MessageType, Validated } from "../endpoint/message-type.ts";
import { ServiceError } from "../errors/service-error.ts";
import type { Schema, SchemaResult } from "./schema.ts";
import { violations } from "./violations.ts";

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
    let text: string | undefined;
    try {
      text = JSON.stringify(message);
    } catch (error) {
      throw new ServiceError("internal", "the message cannot be written as JSON", { cause: error });
    }
    if (text === undefined) throw new ServiceError("internal", `a ${typeof message} cannot be written as JSON`);
    return text;
  }

  jsonSchema(side: "input" | "output"): JsonSchema | undefined {
    try {
      return this.#schema["~standard"].jsonSchema?.[side]({ target: "draft-2020-12" });
    } catch {
      // A validator throws for what JSON Schema cannot say (a Date, a transformation).
      return undefined;
    }
  }
}

function outcome(result: SchemaResult<unknown>): Validated {
  return result.issues === undefined ? { value: result.value } : { violations: violations(result.issues) };
}
