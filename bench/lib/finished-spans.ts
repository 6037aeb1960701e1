import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { createTracerProvider, type SpanData } from "flotilla/telemetry";
import { leanSpan } from "./lean-span.ts";
import { endSpan } from "./spans.ts";

/** Spans of one request to an exporter. */
export const SPANS = 512;

/** As the official SDK hands them to its exporter. */
export function sdkSpans(): ReadableSpan[] {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const tracer = provider.getTracer("bench", "1.0.0");
  for (let i = 0; i < SPANS; i++) endSpan(tracer, i);
  return exporter.getFinishedSpans();
}

/** The same spans as Flotilla's provider has them: made by the OpenTelemetry API, or as the observers do. */
export function leanSpans(byApi: boolean): SpanData[] {
  const spans: SpanData[] = [];
  const provider = createTracerProvider({
    sink: {
      end: (span) => void spans.push(span),
      flush: () => Promise.resolve(),
      close: () => Promise.resolve(),
    },
  });
  const tracer = provider.getTracer("bench", "1.0.0");
  for (let i = 0; i < SPANS; i++) (byApi ? endSpan : leanSpan)(tracer, i);
  return spans;
}
