import {
  create,
  type DescMessage,
  type DescService,
  fromBinary,
  fromJson,
  isMessage,
  type JsonReadOptions,
  type JsonValue,
  type JsonWriteOptions,
  type MessageInitShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { isFieldError } from "@bufbuild/protobuf/reflect";
import { parseJson } from "../../codec/json.ts";
import type { JsonSchema, MessageType, Validated } from "../../endpoint/message-type.ts";
import { badRequest } from "../../errors/details.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { messageSchema } from "./json-schema.ts";

/** How protobuf messages are read and written as JSON. */
export type JsonOptions = Partial<JsonReadOptions & JsonWriteOptions>;

/** Messages quote what was sent: they are cut to so many characters. */
const MAX_MESSAGE = 300;

/** A message described by a protobuf descriptor: canonical ProtoJSON or binary on the wire. */
export class ProtobufType implements MessageType {
  readonly typeName: string;
  readonly binary: NonNullable<MessageType["binary"]>;
  /** The service whose method has this message. */
  readonly service: DescService;
  readonly #desc: DescMessage;
  readonly #json: () => JsonOptions;

  /** @param json - asked for when a message is first read or written as JSON. */
  constructor(desc: DescMessage, service: DescService, json: () => JsonOptions) {
    this.typeName = desc.typeName;
    this.service = service;
    this.#desc = desc;
    this.#json = json;
    this.binary = {
      decode: (bytes) => {
        try {
          return fromBinary(desc, plainBytes(bytes));
        } catch (error) {
          throw this.#unreadable(error);
        }
      },
      encode: (message) => {
        try {
          return toBinary(desc, this.#message(message));
        } catch (error) {
          throw this.#unwritable(error);
        }
      },
    };
  }

  validate(value: unknown): Validated {
    if (isMessage(value, this.#desc)) return { value };
    try {
      return { value: this.#message(value) };
    } catch (error) {
      return { violations: [{ field: "", description: (error as Error).message }] };
    }
  }

  fromJson(text: string): unknown {
    return this.fromJsonValue(parseJson(text));
  }

  fromJsonValue(value: unknown): unknown {
    try {
      return fromJson(this.#desc, value as JsonValue, this.#json());
    } catch (error) {
      throw this.#unreadable(error);
    }
  }

  toJson(message: unknown): string {
    try {
      return toJsonString(this.#desc, this.#message(message), this.#json());
    } catch (error) {
      throw this.#unwritable(error);
    }
  }

  jsonSchema(): JsonSchema {
    return messageSchema(this.#desc);
  }

  /** A message of this type out of one, or out of what initialises one. */
  #message(value: unknown): ReturnType<typeof create> {
    if (typeof value === "object" && value !== null) {
      if (!isMessage(value)) return create(this.#desc, value as MessageInitShape<DescMessage>);
      if (isMessage(value, this.#desc)) return value;
    }
    const got = isMessage(value) ? value.$typeName : value === null ? "null" : typeof value;
    throw new TypeError(`expected ${this.typeName}, got ${got}`);
  }

  #unreadable(error: unknown): ServiceError {
    const message = (error as Error).message.slice(0, MAX_MESSAGE);
    const field = this.#fieldOf(error);
    return new ServiceError("invalid_argument", message, {
      cause: error,
      ...(field !== undefined && { details: [badRequest([{ field, description: message }])] }),
    });
  }

  #unwritable(error: unknown): ServiceError {
    return new ServiceError("internal", `cannot write a message of type ${this.typeName}`, { cause: error });
  }

  /** The field of this message that could not be read; of fields further in, only the message tells. */
  #fieldOf(error: unknown): string | undefined {
    const { cause } = error as Error;
    if (!isFieldError(cause)) return undefined;
    const field = cause.field();
    return field.parent === this.#desc && field.kind === "field" ? field.jsonName : undefined;
  }
}

/** A Buffer as the Uint8Array it is, so that fields of bytes are no Buffers either. */
function plainBytes(bytes: Uint8Array): Uint8Array {
  return Buffer.isBuffer(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : bytes;
}
