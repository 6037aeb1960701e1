import type { Attributes, SpanContext, SpanStatusCode } from "@opentelemetry/api";

/**
 * Attributes as one flat list: name, value, name, value. Cheaper to fill than an object, and what an encoder walks anyway. A name that
 * occurs twice counts with its last value.
 */
export type AttributeList = readonly unknown[];

/** Environment variables, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Who emits telemetry: `service.name` and the like, the same for all that a process sends. */
export interface Resource {
  readonly attributes: Attributes;
  readonly schemaUrl?: string;
}

/** Which library made it. */
export interface Scope {
  readonly name: string;
  readonly version: string | undefined;
  readonly schemaUrl: string | undefined;
}

/** Something that happened at one moment of a span. */
export interface SpanEvent {
  readonly name: string;
  /** Milliseconds since the Unix epoch, fractional. */
  readonly epochMs: number;
  readonly attributes: AttributeList;
  readonly droppedAttributes: number;
}

/** A reference to another span. */
export interface SpanLink {
  readonly context: SpanContext;
  readonly attributes: AttributeList;
  readonly droppedAttributes: number;
}

/** A span that has ended, as exporters see it. Must not be changed any more. */
export interface SpanData {
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** 16 lower-case hex digits. */
  readonly spanId: string;
  /** 16 lower-case hex digits; undefined for a root. */
  readonly parentSpanId: string | undefined;
  /** W3C flags: 1 sampled, 2 random. */
  readonly traceFlags: number;
  /** Whether the parent came over the wire. */
  readonly parentIsRemote: boolean;
  /** As a header has it; undefined for none. */
  readonly traceState: string | undefined;
  readonly name: string;
  /** OpenTelemetry API's SpanKind: 0 internal, 1 server, 2 client, 3 producer, 4 consumer. OTLP's is one more. */
  readonly kind: number;
  readonly scope: Scope;
  /** Milliseconds since the Unix epoch, fractional. */
  readonly startEpochMs: number;
  readonly durationMs: number;
  /** Attributes shared by all spans of one method: the same list every time, so that an encoder may keep its bytes. */
  readonly preset: AttributeList;
  readonly attributes: AttributeList;
  readonly droppedAttributes: number;
  readonly events: readonly SpanEvent[];
  readonly droppedEvents: number;
  readonly links: readonly SpanLink[];
  readonly droppedLinks: number;
  readonly statusCode: SpanStatusCode;
  readonly statusMessage: string | undefined;
}

/** A log record in OpenTelemetry's data model. */
export interface LogData {
  /** Milliseconds since the Unix epoch, fractional. */
  readonly epochMs: number;
  /** 1 to 24; 9 is info, 13 warn, 17 error. */
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: string;
  readonly attributes: AttributeList;
  readonly scope: Scope;
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly traceFlags: number;
  /** For events; undefined for plain records. */
  readonly eventName: string | undefined;
}

/** One measurement kept beside an aggregate. */
export interface Exemplar {
  readonly value: number;
  readonly epochMs: number;
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  /** Attributes of the measurement that the series does not have. */
  readonly attributes: AttributeList;
}

/** A point of a sum or a gauge. */
export interface NumberPoint {
  readonly attributes: AttributeList;
  readonly startEpochMs: number;
  readonly epochMs: number;
  readonly value: number;
  /** Whether it is an integer by its instrument (OTLP `as_int`). */
  readonly integer: boolean;
  readonly exemplars: readonly Exemplar[];
}

/** A point of a histogram with explicit bounds. */
export interface HistogramPoint {
  readonly attributes: AttributeList;
  readonly startEpochMs: number;
  readonly epochMs: number;
  readonly count: number;
  readonly sum: number;
  readonly min: number | undefined;
  readonly max: number | undefined;
  /** Upper bounds, inclusive, ascending. */
  readonly bounds: readonly number[];
  /** One more than bounds; not cumulative. */
  readonly counts: readonly number[];
  readonly exemplars: readonly Exemplar[];
}

/** The buckets of one sign of an exponential histogram: bucket `i` counts values in `(base^(offset+i), base^(offset+i+1)]`. */
export interface ExponentialBuckets {
  readonly offset: number;
  readonly counts: readonly number[];
}

/** A point of an exponential histogram; base is `2^(2^-scale)`. */
export interface ExponentialPoint {
  readonly attributes: AttributeList;
  readonly startEpochMs: number;
  readonly epochMs: number;
  readonly count: number;
  readonly sum: number;
  readonly min: number | undefined;
  readonly max: number | undefined;
  readonly scale: number;
  readonly zeroCount: number;
  readonly zeroThreshold: number;
  readonly positive: ExponentialBuckets;
  readonly negative: ExponentialBuckets;
  readonly exemplars: readonly Exemplar[];
}

/** What one instrument has to say when it is collected. */
export type MetricData = {
  readonly name: string;
  readonly description: string;
  /** UCUM: `s`, `By`, `{request}`. */
  readonly unit: string;
  readonly scope: Scope;
} & (
  | {
      readonly type: "sum";
      readonly monotonic: boolean;
      readonly delta: boolean;
      readonly points: readonly NumberPoint[];
    }
  | { readonly type: "gauge"; readonly points: readonly NumberPoint[] }
  | { readonly type: "histogram"; readonly delta: boolean; readonly points: readonly HistogramPoint[] }
  | { readonly type: "exponential"; readonly delta: boolean; readonly points: readonly ExponentialPoint[] }
);

/** Where batches of finished telemetry go. */
export interface Exporter<T> {
  /**
   * Sends a batch. The batcher calls it again only after the promise has settled.
   *
   * @throws ServiceError when the batch is lost for good; whoever called counts its items as dropped.
   */
  export(batch: readonly T[], signal: AbortSignal): Promise<void>;
  /** Releases sockets and files. */
  close(): Promise<void>;
}
