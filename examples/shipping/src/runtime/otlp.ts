import { BinaryReader } from "@bufbuild/protobuf/wire";
import { SpanStatusCode } from "@opentelemetry/api";
import type { SpanData } from "flotilla/telemetry";

/** A span, and who made it. */
export interface CollectedSpan extends SpanData {
  readonly service: string;
}

type Reader = Pick<BinaryReader, "bytes" | "string" | "int32" | "fixed64" | "bool" | "double" | "int64">;
type Fields = Readonly<Record<number, (reader: Reader) => void>>;

/** Reads a message: fields that are not named are passed over. */
function read(bytes: Uint8Array, fields: Fields): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const field = fields[number];
    if (field === undefined) reader.skip(type);
    else field(reader);
  }
}

/**
 * The spans of an `ExportTraceServiceRequest` (opentelemetry-proto, collector/trace/v1): as much of them as a picture needs.
 *
 * @throws Error when the bytes are no such message.
 */
export function readSpans(request: Uint8Array): CollectedSpan[] {
  const spans: CollectedSpan[] = [];
  read(request, {
    1: (resourceSpans) => {
      let service = "unknown";
      const found: SpanData[] = [];
      read(resourceSpans.bytes(), {
        1: (resource) =>
          read(resource.bytes(), {
            1: (attribute) => {
              const [name, value] = readAttribute(attribute.bytes());
              if (name === "service.name") service = String(value);
            },
          }),
        2: (scopeSpans) => read(scopeSpans.bytes(), { 2: (span) => void found.push(readSpan(span.bytes())) }),
      });
      for (const span of found) spans.push({ ...span, service });
    },
  });
  return spans;
}

function readSpan(bytes: Uint8Array): SpanData {
  const hex = (reader: Reader): string => Buffer.from(reader.bytes()).toString("hex");
  const millis = (reader: Reader): number => Number(reader.fixed64()) / 1e6;
  let [traceId, spanId, parentSpanId, name, kind, startMs, endMs] = ["", "", "", "", 0, 0, 0];
  let status = 0;
  let statusMessage: string | undefined;
  const attributes: unknown[] = [];
  read(bytes, {
    1: (field) => (traceId = hex(field)),
    2: (field) => (spanId = hex(field)),
    4: (field) => (parentSpanId = hex(field)),
    5: (field) => (name = field.string()),
    // OTLP counts kinds from 1, for 0 is none.
    6: (field) => (kind = field.int32() - 1),
    7: (field) => (startMs = millis(field)),
    8: (field) => (endMs = millis(field)),
    9: (field) => attributes.push(...readAttribute(field.bytes())),
    15: (field) =>
      read(field.bytes(), {
        2: (message) => (statusMessage = message.string()),
        3: (code) => (status = code.int32()),
      }),
  });
  return {
    traceId,
    spanId,
    parentSpanId: parentSpanId === "" ? undefined : parentSpanId,
    traceFlags: 1,
    parentIsRemote: false,
    traceState: undefined,
    name,
    kind,
    scope: { name: "", version: undefined, schemaUrl: undefined },
    startEpochMs: startMs,
    durationMs: endMs - startMs,
    preset: [],
    attributes,
    droppedAttributes: 0,
    events: [],
    droppedEvents: 0,
    links: [],
    droppedLinks: 0,
    statusCode: status === 2 ? SpanStatusCode.ERROR : status === 1 ? SpanStatusCode.OK : SpanStatusCode.UNSET,
    statusMessage,
  };
}

function readAttribute(bytes: Uint8Array): [name: string, value: unknown] {
  let name = "";
  let value: unknown;
  read(bytes, {
    1: (field) => (name = field.string()),
    2: (any) =>
      read(any.bytes(), {
        1: (field) => (value = field.string()),
        2: (field) => (value = field.bool()),
        3: (field) => (value = Number(field.int64())),
        4: (field) => (value = field.double()),
      }),
  });
  return [name, value];
}
