import { compress, decompress } from "../../codec/compression.ts";
import { encodeEnvelope, encodeTextEnvelope } from "../../codec/envelope.ts";
import { jsonText } from "../../codec/json.ts";
import type { MessageType } from "../../endpoint/message-type.ts";
import type { Code } from "../../errors/code.ts";
import { ServiceError } from "../../errors/service-error.ts";

/** The message codings that are read and written, as `grpc-accept-encoding` tells them. */
export const ENCODINGS = "identity,gzip";

/** How messages of one type stand in frames. */
export interface MessageCodec {
  readonly decode: (data: Buffer) => unknown;
  /** The message with its prefix. */
  readonly frame: (message: unknown) => Buffer;
}

export function protoCodec(type: MessageType): MessageCodec {
  const binary = type.binary!;
  return { decode: (data) => binary.decode(data), frame: (message) => encodeEnvelope(0, binary.encode(message)) };
}

export function jsonCodec(type: MessageType): MessageCodec {
  return {
    decode: (data) => type.fromJson(jsonText(data)),
    frame: (message) => encodeTextEnvelope(0, type.toJson(message)),
  };
}

/** The frame with its message compressed. */
export async function compressFrame(frame: Buffer): Promise<Buffer> {
  return encodeEnvelope(1, await compress("gzip", frame.subarray(5)));
}

/**
 * Reads a message that is marked as compressed, never to more than `maxBytes`.
 *
 * @param encoding - header `grpc-encoding`.
 * @param malformed - the code of what is not validly compressed.
 * @throws ServiceError `internal` when the header names no coding (as gRPC's compression document has it), `unimplemented` when it
 *   is not gzip, `resource_exhausted` over the limit.
 */
export function expand(encoding: unknown, data: Buffer, maxBytes: number, malformed: Code): Promise<Buffer> {
  if (encoding === "gzip") return decompress("gzip", data, maxBytes, malformed);
  if (encoding === undefined || encoding === "identity") {
    const message = "a message is marked as compressed, but header grpc-encoding names no compression";
    return Promise.reject(new ServiceError("internal", message));
  }
  return Promise.reject(unknownEncoding(encoding));
}

export function unknownEncoding(encoding: unknown): ServiceError {
  const named = JSON.stringify(String(encoding).slice(0, 32));
  return new ServiceError("unimplemented", `unknown compression ${named}: supported encodings are ${ENCODINGS}`);
}

/** Whether a coding can be read here. */
export function isEncoding(encoding: unknown): boolean {
  return encoding === undefined || encoding === "identity" || encoding === "gzip";
}

/** Whether a peer reads gzip. */
export function acceptsGzip(accepted: unknown): boolean {
  return typeof accepted === "string" && /(?:^|,)\s*gzip\s*(?:,|$)/.test(accepted);
}
