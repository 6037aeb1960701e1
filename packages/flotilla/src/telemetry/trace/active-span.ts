import type { Span } from "@opentelemetry/api";
import type { TraceHeaders } from "../../metadata/trace-headers.ts";
import type { AttributeList } from "../model.ts";

/** A span of whatever provider, as it rides in a `Context`: its position in the trace is what goes into headers. */
export interface ActiveSpan extends Span, TraceHeaders {
  readonly traceId: string;
  readonly spanId: string;
  /** W3C flags: 1 sampled, 2 random. */
  readonly traceFlags: number;
  /** The span as users see it. */
  readonly apiSpan: Span;
  /** Where children of this span come from. */
  readonly starter: SpanStarter;
  /**
   * Ends the span. Cheaper than `end`.
   *
   * @param endedMs - on the clock of the provider. Default now.
   */
  finish(endedMs?: number): void;
}

/** Makes spans without OpenTelemetry's options objects and contexts. Nothing here throws. */
export interface SpanStarter {
  /**
   * A child of a span of this process, or a new trace.
   *
   * @param kind - SpanKind of the OpenTelemetry API: 0 internal, 1 server, 2 client, 3 producer, 4 consumer.
   * @param parent - any position in a trace: one that is not a span of ours counts as remote. Undefined: a new trace.
   * @param preset - attributes that all spans of a method have: the same list every time; it is neither copied nor checked.
   * @param startedMs - on the clock of the provider. Default now.
   */
  start(
    name: string,
    kind: number,
    parent: TraceHeaders | undefined,
    preset: AttributeList,
    startedMs?: number,
  ): ActiveSpan;
  /** A child of what came over the wire: headers as they came, valid or not; a new trace when there is no valid one. */
  startRemote(
    name: string,
    kind: number,
    traceparent: string | undefined,
    tracestate: string | undefined,
    preset: AttributeList,
    startedMs?: number,
  ): ActiveSpan;
}

/** Whether a position in a trace is a span of this process. */
export function isActiveSpan(trace: TraceHeaders | undefined): trace is ActiveSpan {
  return trace !== undefined && (trace as Partial<ActiveSpan>).apiSpan !== undefined;
}

export const SAMPLED = 1;
export const RANDOM = 2;
