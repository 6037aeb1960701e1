export type { AttributeList, Exporter, LogData, MetricData, Resource, Scope, SpanData } from "./model.ts";
export {
  type Batcher,
  type BatcherCounters,
  type BatcherOptions,
  batcher,
  type DropReason,
} from "./otlp/batcher.ts";
export type { Compression, DeliveryCounters } from "./otlp/delivery.ts";
export { type OtlpEnvironment, type OtlpSettings, otlpFromEnv } from "./otlp/env.ts";
export { type OtlpExporter, type OtlpExporterOptions, type OtlpSignal, otlpExporter } from "./otlp/exporter.ts";
export type { OtlpTls } from "./otlp/http-sender.ts";
export { logEncoder } from "./otlp/logs.ts";
export { metricEncoder } from "./otlp/metrics.ts";
export type { Encode, EncodedRequest } from "./otlp/request.ts";
export { traceEncoder } from "./otlp/traces.ts";
export { createTracerProvider, type LeanTracerProvider, type TracerProviderOptions } from "./trace/provider.ts";
export { always, never, parentBased, type Sampler } from "./trace/sampler.ts";
export type { SpanSink } from "./trace/sink.ts";
