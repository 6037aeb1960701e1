import { type Attributes, type Meter, type ObservableCounter, ValueType } from "@opentelemetry/api";
import type { BatcherCounters } from "../otlp/batcher.ts";
import type { DeliveryCounters } from "../otlp/delivery.ts";

/** What telemetry knows of itself; undefined where there is no such part. Live views. */
export interface SdkCounters {
  readonly spans: { readonly recorded: number; readonly unsampled: number } | undefined;
  readonly spanQueue: BatcherCounters | undefined;
  readonly spanExport: DeliveryCounters | undefined;
  readonly logQueue: BatcherCounters | undefined;
  readonly pointExport: DeliveryCounters | undefined;
}

/**
 * Telemetry about telemetry, by the semantic conventions for SDKs (`otel.sdk.*`): spans started, the queues before exporters, and what became
 * of what was exported, losses by `error.type`.
 */
export function sdkMetrics(meter: Meter, counters: SdkCounters): void {
  const { spans, spanQueue, spanExport, logQueue, pointExport } = counters;
  if (spans !== undefined) {
    counter(meter, "otel.sdk.span.started", "{span}", "Spans that were begun.").addCallback((result) => {
      result.observe(spans.recorded, { "otel.span.sampling_result": "RECORD_AND_SAMPLE" });
      result.observe(spans.unsampled, { "otel.span.sampling_result": "DROP" });
    });
  }
  if (spanQueue !== undefined) queue(meter, "span", "{span}", "batching_span_processor", spanQueue);
  if (logQueue !== undefined) queue(meter, "log", "{log_record}", "batching_log_processor", logQueue);
  if (spanExport !== undefined) exported(meter, "span", "{span}", "otlp_http_span_exporter", spanExport);
  if (pointExport !== undefined) {
    exported(meter, "metric_data_point", "{data_point}", "otlp_http_metric_exporter", pointExport);
  }
}

function queue(meter: Meter, what: string, unit: string, type: string, counters: BatcherCounters): void {
  const component = componentOf(type);
  const name = `otel.sdk.processor.${what}`;
  level(meter, `${name}.queue.size`, unit, "What waits to be exported.", () => counters.queueSize, component);
  level(meter, `${name}.queue.capacity`, unit, "What may wait at most.", () => counters.queueCapacity, component);
  counter(meter, `${name}.processed`, unit, "What was handed to the exporter, or dropped before.").addCallback(
    (result) => {
      result.observe(counters.processed, component);
      result.observe(counters.droppedQueueFull, { ...component, "error.type": "queue_full" });
      result.observe(counters.droppedClosed, { ...component, "error.type": "already_shutdown" });
    },
  );
}

function exported(meter: Meter, what: string, unit: string, type: string, counters: DeliveryCounters): void {
  const component = componentOf(type);
  const name = `otel.sdk.exporter.${what}`;
  level(meter, `${name}.inflight`, unit, "What is being sent.", () => counters.inflight, component);
  counter(meter, `${name}.exported`, unit, "What the collector has taken, or what was given up.").addCallback(
    (result) => {
      result.observe(counters.exported, component);
      if (counters.rejected > 0) result.observe(counters.rejected, { ...component, "error.type": "rejected" });
      for (const [error, count] of counters.failed) result.observe(count, { ...component, "error.type": error });
    },
  );
}

/** There is one of each in a process. */
function componentOf(type: string): Attributes {
  return { "otel.component.type": type, "otel.component.name": `${type}/0` };
}

function counter(meter: Meter, name: string, unit: string, description: string): ObservableCounter {
  return meter.createObservableCounter(name, { unit, description, valueType: ValueType.INT });
}

function level(
  meter: Meter,
  name: string,
  unit: string,
  description: string,
  read: () => number,
  attributes: Attributes,
): void {
  meter
    .createObservableUpDownCounter(name, { unit, description, valueType: ValueType.INT })
    .addCallback((result) => result.observe(read(), attributes));
}
