export { type BurstOptions } from "./log/burst.ts";
export { type LogLimits } from "./log/contain.ts";
export { type LogFormat } from "./log/formats.ts";
export { type HoldOptions } from "./log/held-lines.ts";
export { type Level } from "./log/levels.ts";
export { type LogSink } from "./log/log-sink.ts";
export { annotate, type Logger, log, withLogFields } from "./log/logger.ts";
export { type CallLineOptions, type LogsOptions } from "./log/options.ts";
export { type MetricsOptions } from "./metering.ts";
export { deltas } from "./metrics/deltas.ts";
export { CONTENT_TYPES, negotiate, type PrometheusFormat, prometheusText } from "./metrics/prometheus.ts";
export { createMeterProvider, type LeanMeterProvider, type MeterProviderOptions } from "./metrics/provider.ts";
export { type Statsd, type StatsdOptions, statsd } from "./metrics/statsd.ts";
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
export { type Telemetry, type TelemetryOptions, telemetry } from "./telemetry.ts";
export { type Bridge, bridge } from "./trace/bridge.ts";
export { type ConsoleSink, type ConsoleSinkOptions, consoleSink } from "./trace/console-sink.ts";
export { currentSpan, withSpan } from "./trace/current-span.ts";
export { drawTrace } from "./trace/draw-trace.ts";
export { type InSpanOptions, inSpan, streamInSpan } from "./trace/in-span.ts";
export { type KeepOptions, type KeepSink, keep } from "./trace/keep.ts";
export { w3cPropagator } from "./trace/propagator.ts";
export { createTracerProvider, type LeanTracerProvider, type TracerProviderOptions } from "./trace/provider.ts";
export { always, never, parentBased, rateLimited, ratio, type Sampler } from "./trace/sampler.ts";
export type { SpanSink } from "./trace/sink.ts";
export { tee } from "./trace/sink.ts";
export { type TracesOptions } from "./tracing.ts";
