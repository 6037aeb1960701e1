import { SpanStatusCode } from "@opentelemetry/api";
import type { Scope, SpanData } from "../../model.ts";

export const scope: Scope = { name: "flotilla", version: "1.2.3", schemaUrl: undefined };

/** A span with the given parts, all else at its plainest. */
export function span(parts: Partial<SpanData> = {}): SpanData {
  return {
    traceId: "0af7651916cd43dd8448eb211c80319c",
    spanId: "b7ad6b7169203331",
    parentSpanId: undefined,
    traceFlags: 1,
    parentIsRemote: false,
    traceState: undefined,
    name: "calc.v1.Calculator/sum",
    kind: 1,
    scope,
    startEpochMs: 1_732_421_234_567.125,
    durationMs: 12.25,
    preset: [],
    attributes: [],
    droppedAttributes: 0,
    events: [],
    droppedEvents: 0,
    links: [],
    droppedLinks: 0,
    statusCode: SpanStatusCode.UNSET,
    statusMessage: undefined,
    ...parts,
  };
}
