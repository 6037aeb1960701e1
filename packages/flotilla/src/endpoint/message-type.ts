import type { FieldViolation } from "../errors/details.ts";

/** Outcome of {@link MessageType.validate}: the value (possibly transformed by the schema), or what was wrong with it. */
export type Validated = { readonly value: unknown } | { readonly violations: readonly FieldViolation[] };

/** A JSON Schema (2020-12) as a plain object. */
export type JsonSchema = { readonly [keyword: string]: unknown };

/**
 * A request or response type at run time: how it is checked and how it stands on the wire. Made by a contract, from a Standard
 * Schema or from a protobuf descriptor; transports know no more of messages than this.
 */
export interface MessageType {
  /** Fully qualified name, for OpenAPI components and protobuf; undefined for an anonymous schema. */
  readonly typeName: string | undefined;
  /** Checks a decoded message. Answers at once where the schema does. */
  validate(value: unknown): Validated | Promise<Validated>;
  /** Reads one message from JSON text. @throws ServiceError `invalid_argument` saying what is wrong with the text. */
  fromJson(text: string): unknown;
  /** Takes one message that was read as JSON already, or put together from path and query. Throws like `fromJson`. */
  fromJsonValue(value: unknown): unknown;
  /** Writes one message as JSON text. @throws ServiceError `internal` when the message has no JSON form. */
  toJson(message: unknown): string;
  /** Binary protobuf; undefined where the type has no such form. */
  readonly binary:
    | {
        /** @throws ServiceError `invalid_argument` when the bytes are not a message of this type. */
        decode(bytes: Uint8Array): unknown;
        encode(message: unknown): Uint8Array;
      }
    | undefined;
  /** The JSON Schema of the message, or undefined when the validator cannot tell. */
  jsonSchema(side: "input" | "output"): JsonSchema | undefined;
}
