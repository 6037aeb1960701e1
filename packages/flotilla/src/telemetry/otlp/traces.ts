import { SpanStatusCode } from "@opentelemetry/api";
import type { Resource, SpanData, SpanEvent, SpanLink } from "../model.ts";
import type { AttributeWriter } from "./attributes.ts";
import { type Encode, requestEncoder } from "./request.ts";
import type { LastText, Wire } from "./wire.ts";

// Bits 8 and 9 of a span's flags: whether it is known where the parent is, and whether it is remote.
const REMOTE_KNOWN = 0x100;
const REMOTE = 0x300;

/** Ids, times, kind, counts and flags of a span, with their tags. */
const FIXED_BYTES = 120;

/**
 * Encodes spans as `ExportTraceServiceRequest` (opentelemetry/proto/collector/trace/v1). Bytes of the resource, scopes,
 * attribute names and `preset` lists are kept from one request to the next.
 */
export function traceEncoder(resource: Resource): Encode<SpanData> {
  const lastName: LastText = { text: undefined, bytes: undefined };
  return requestEncoder(resource, (wire, attributes, span) => writeSpan(wire, attributes, lastName, span));
}

function writeSpan(wire: Wire, attributes: AttributeWriter, lastName: LastText, span: SpanData): void {
  const start = wire.begin(0x12, 2);
  wire.reserve(FIXED_BYTES);
  wire.byte(0x0a);
  wire.hex(span.traceId, 16);
  wire.byte(0x12);
  wire.hex(span.spanId, 8);
  if (span.parentSpanId !== undefined) {
    wire.byte(0x22);
    wire.hex(span.parentSpanId, 8);
  }
  wire.byte(0x30);
  wire.byte(span.kind + 1);
  wire.byte(0x39);
  wire.nanos(span.startEpochMs);
  wire.byte(0x41);
  wire.nanos(span.startEpochMs, span.durationMs);
  // Tag of field 16: two bytes.
  wire.byte(0x85);
  wire.byte(0x01);
  wire.fixed32((span.traceFlags & 0xff) | (span.parentIsRemote ? REMOTE : REMOTE_KNOWN));
  if (span.droppedAttributes > 0) count(wire, 0x50, span.droppedAttributes);
  if (span.droppedEvents > 0) count(wire, 0x60, span.droppedEvents);
  if (span.droppedLinks > 0) count(wire, 0x70, span.droppedLinks);
  wire.repeatedText(0x2a, span.name, lastName);
  if (span.traceState !== undefined) wire.text(0x1a, span.traceState);
  attributes.writeWithPreset(0x4a, span.preset, span.attributes);
  const { events, links } = span;
  for (let i = 0; i < events.length; i++) writeEvent(wire, attributes, events[i]!);
  for (let i = 0; i < links.length; i++) writeLink(wire, attributes, links[i]!);
  if (span.statusCode !== SpanStatusCode.UNSET) writeStatus(wire, span.statusCode, span.statusMessage);
  wire.end(start, 2);
}

function count(wire: Wire, tag: number, value: number): void {
  wire.byte(tag);
  wire.varint(value);
}

function writeStatus(wire: Wire, code: number, message: string | undefined): void {
  const start = wire.begin(0x7a, 1);
  if (message !== undefined && message !== "") wire.text(0x12, message);
  wire.reserve(2);
  wire.byte(0x18);
  wire.byte(code);
  wire.end(start, 1);
}

function writeEvent(wire: Wire, attributes: AttributeWriter, event: SpanEvent): void {
  const start = wire.begin(0x5a, 2);
  wire.reserve(16);
  wire.byte(0x09);
  wire.nanos(event.epochMs);
  if (event.droppedAttributes > 0) count(wire, 0x20, event.droppedAttributes);
  wire.text(0x12, event.name);
  attributes.write(0x1a, event.attributes);
  wire.end(start, 2);
}

function writeLink(wire: Wire, attributes: AttributeWriter, link: SpanLink): void {
  const { context } = link;
  const start = wire.begin(0x6a, 2);
  wire.reserve(48);
  wire.byte(0x0a);
  wire.hex(context.traceId, 16);
  wire.byte(0x12);
  wire.hex(context.spanId, 8);
  wire.byte(0x35);
  wire.fixed32((context.traceFlags & 0xff) | (context.isRemote === true ? REMOTE : REMOTE_KNOWN));
  if (link.droppedAttributes > 0) count(wire, 0x28, link.droppedAttributes);
  const traceState = context.traceState?.serialize();
  if (traceState !== undefined && traceState !== "") wire.text(0x1a, traceState);
  attributes.write(0x22, link.attributes);
  wire.end(start, 2);
}
