import type { LogData, Resource } from "../model.ts";
import type { AttributeWriter } from "./attributes.ts";
import { type Encode, requestEncoder } from "./request.ts";
import type { Wire } from "./wire.ts";

/** Encodes log records as `ExportLogsServiceRequest` (opentelemetry/proto/collector/logs/v1). */
export function logEncoder(resource: Resource): Encode<LogData> {
  return requestEncoder(resource, writeRecord);
}

function writeRecord(wire: Wire, attributes: AttributeWriter, record: LogData): void {
  const start = wire.begin(0x12, 2);
  wire.reserve(64);
  wire.byte(0x09);
  wire.nanos(record.epochMs);
  // Observed when it was made: it comes from this process.
  wire.byte(0x59);
  wire.nanos(record.epochMs);
  wire.byte(0x10);
  wire.varint(record.severityNumber);
  if (record.traceId !== undefined) {
    wire.byte(0x45);
    wire.fixed32(record.traceFlags & 0xff);
    wire.byte(0x4a);
    wire.hex(record.traceId, 16);
  }
  if (record.spanId !== undefined) {
    wire.byte(0x52);
    wire.hex(record.spanId, 8);
  }
  if (record.severityText !== "") wire.text(0x1a, record.severityText);
  attributes.anyValue(0x2a, record.body);
  attributes.write(0x32, record.attributes);
  if (record.eventName !== undefined) wire.text(0x62, record.eventName);
  wire.end(start, 2);
}
