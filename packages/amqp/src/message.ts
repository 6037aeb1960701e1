import { isUtf8 } from "node:buffer";
import type { MessageProperties } from "amqplib";
import { ServiceError } from "flotilla/errors";
import type { MetadataRecord } from "flotilla/metadata";
import { JSON_TYPE, newRecord, PROTO_TYPE, type Wire } from "flotilla/wire";

/** What a header may be called, in lower case (RFC 9110, token). */
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]{1,255}$/;
const CONTROL = /[^\t\x20-\x7e\x80-\uffff]/;
/** All headers of a message, names and values, characters: as much as Node takes over HTTP. */
const MAX_HEADER_CHARS = 16 * 1024;

/**
 * The headers of a message as metadata. Numbers and truth values become text; tables and bytes, as brokers add them themselves, are no
 * metadata and left out.
 *
 * @throws ServiceError `invalid_argument` when one is malformed, `resource_exhausted` when they are too long.
 */
export function readHeaders(table: unknown): MetadataRecord {
  const headers = newRecord();
  if (table === undefined || table === null) return headers;
  if (typeof table !== "object") throw malformed("the headers are no table");
  let chars = 0;
  for (const name of Object.keys(table)) {
    const value = textOf((table as Record<string, unknown>)[name]);
    if (value === undefined) continue;
    const key = name.toLowerCase();
    if (!NAME.test(key)) throw malformed(`${JSON.stringify(name.slice(0, 64))} is no name of a header`);
    for (const text of typeof value === "string" ? [value] : value) {
      if (CONTROL.test(text)) throw malformed(`header ${key} holds a control character`);
      chars += key.length + text.length;
    }
    if (chars > MAX_HEADER_CHARS) {
      throw new ServiceError("resource_exhausted", `the headers are over the limit of ${MAX_HEADER_CHARS} characters`);
    }
    headers[key] = value;
  }
  return headers;
}

function textOf(value: unknown): string | string[] | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (!Array.isArray(value)) return undefined;
  const texts = value.filter((one) => typeof one === "string");
  return texts.length > 0 && texts.length === value.length ? texts : undefined;
}

/**
 * What a message is written in: `application/json`, the default, or `application/proto`.
 *
 * @throws ServiceError `invalid_argument` when it is neither, or packed.
 */
export function typeOf({ contentType, contentEncoding }: MessageProperties): string {
  if (
    contentEncoding !== undefined &&
    contentEncoding !== "" &&
    !/^(identity|utf-?8)$/i.test(String(contentEncoding))
  ) {
    throw malformed(`content-encoding ${JSON.stringify(String(contentEncoding).slice(0, 64))} is not spoken here`);
  }
  if (contentType === undefined || contentType === "" || contentType === JSON_TYPE) return JSON_TYPE;
  if (contentType === PROTO_TYPE) return PROTO_TYPE;
  const essence = String(contentType).split(";", 1)[0]!.trim().toLowerCase();
  if (essence === JSON_TYPE) return JSON_TYPE;
  if (essence === PROTO_TYPE || essence === "application/protobuf" || essence === "application/x-protobuf")
    return PROTO_TYPE;
  throw malformed(
    `content-type ${JSON.stringify(String(contentType).slice(0, 64))} is neither ${JSON_TYPE} nor ${PROTO_TYPE}`,
  );
}

/**
 * The message itself.
 *
 * @throws ServiceError `resource_exhausted` over the limit, `invalid_argument` when it should be JSON and is no text.
 */
export function readBody(content: Buffer, type: string, maxBytes: number): Wire {
  if (content.length > maxBytes) throw tooLarge(maxBytes);
  if (type === PROTO_TYPE) return content;
  if (!isUtf8(content)) throw malformed("the message is not UTF-8");
  return content.toString("utf8");
}

/** A property that is text, if it is there and not absurdly long. */
export function textProperty(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" && value.length <= 255 ? value : undefined;
}

/**
 * As the client library wants it, without a copy of what is binary. A broker closes the channel on what it finds too large (RabbitMQ 4: 16 MiB), and
 * everything else on it fails.
 *
 * @throws ServiceError `resource_exhausted` over the limit.
 */
export function writeBody(wire: Wire, maxBytes: number): Buffer {
  const body =
    typeof wire === "string" ? Buffer.from(wire) : Buffer.from(wire.buffer, wire.byteOffset, wire.byteLength);
  if (body.length > maxBytes) throw tooLarge(maxBytes);
  return body;
}

function tooLarge(maxBytes: number): ServiceError {
  return new ServiceError("resource_exhausted", `a message is over the limit of ${maxBytes} bytes`);
}

/** What the client library could not write: headers that do not fit into a frame, or a name that is too long. */
export function unsendable(error: unknown): ServiceError {
  if (error instanceof RangeError)
    return new ServiceError("resource_exhausted", "the headers of the message are too long");
  return new ServiceError("internal", "the message cannot be written", { cause: error });
}

function malformed(message: string): ServiceError {
  return new ServiceError("invalid_argument", message);
}
