import { formatConnectTimeout } from "../codec/timeout.ts";
import type { Context } from "../context/context.ts";
import { remainingMs } from "../context/with.ts";
import type { MessageType } from "../endpoint/message-type.ts";
import { ServiceError } from "../errors/service-error.ts";
import { baggageHeader } from "../metadata/baggage.ts";
import { outgoingHeaders } from "../metadata/call.ts";
import { type MetadataRecord, newRecord } from "../metadata/metadata.ts";
import { PRIORITY_HEADER, priorityHeader } from "../metadata/priority.ts";
import { currentTrace } from "../metadata/trace.ts";

/** A message on its way: JSON text or binary protobuf, so that the two sides share nothing by reference. */
export type Wire = string | Uint8Array;

export const JSON_TYPE = "application/json";
export const PROTO_TYPE = "application/proto";

/** A message that was read as JSON already, as part of something larger. */
export class ParsedMessage {
  readonly value: unknown;
  /** What it took on the wire. */
  readonly byteLength: number;

  constructor(value: unknown, byteLength: number) {
    this.value = value;
    this.byteLength = byteLength;
  }
}

export function writeMessage(type: MessageType, message: unknown, contentType: string): Wire {
  return contentType === PROTO_TYPE ? type.binary!.encode(message) : type.toJson(message);
}

/** @throws ServiceError `resource_exhausted` over the limit, else what the type says is wrong. */
export function readMessage(type: MessageType, wire: Wire | ParsedMessage, maxBytes: number): unknown {
  // At most three bytes a UTF-16 unit: most texts need not be measured.
  if (
    typeof wire === "string"
      ? wire.length * 3 > maxBytes && Buffer.byteLength(wire) > maxBytes
      : wire.byteLength > maxBytes
  ) {
    throw new ServiceError("resource_exhausted", `a message is over the limit of ${maxBytes} bytes`);
  }
  if (typeof wire === "string") return type.fromJson(wire);
  if (wire instanceof ParsedMessage) return type.fromJsonValue(wire.value);
  if (type.binary === undefined) throw new ServiceError("unimplemented", "this message has no protobuf form");
  return type.binary.decode(wire);
}

/**
 * The headers of one call: what the context carries over the hop, and nothing else of it.
 *
 * @throws ServiceError the context's own, when it is done already: what is hopeless is not sent.
 */
export function callHeaders(ctx: Context, contentType: string): MetadataRecord {
  const left = remainingMs(ctx);
  const { err } = ctx;
  if (err !== undefined) throw err;
  const headers = newRecord();
  const own = outgoingHeaders(ctx);
  if (own !== undefined) {
    for (const [name, value] of own.entries()) {
      const present = headers[name];
      headers[name] = present === undefined ? value : [...[present].flat(), value];
    }
  }
  headers["content-type"] = contentType;
  if (left !== Infinity) headers["connect-timeout-ms"] = formatConnectTimeout(left);
  const trace = currentTrace(ctx);
  if (trace !== undefined) {
    headers["traceparent"] = trace.traceparent;
    if (trace.tracestate !== undefined) headers["tracestate"] = trace.tracestate;
  }
  const members = baggageHeader(ctx);
  if (members !== undefined) headers["baggage"] = members;
  const priority = priorityHeader(ctx);
  if (priority !== undefined) headers[PRIORITY_HEADER] = priority;
  return headers;
}
