import { monitorEventLoopDelay } from "node:perf_hooks";
import { batcher, createTracerProvider, otlpExporter, type SpanData } from "flotilla/telemetry";
import { leanSpan } from "./lean-span.ts";
import { cpuMicros } from "./ready.ts";
import { answerMeasurements } from "./worker.ts";

const SPANS_PER_SECOND = 20_000;
const TICK_MS = 5;
const PERCENTILE = 99;

/** Serves the 99th percentile of the event loop's delay, µs, of a process that ends 20,000 spans a second and exports them to `origin`. */
export function serveLoopDelay(origin: string): void {
  const exporter = otlpExporter({
    signal: "traces",
    resource: { attributes: { "service.name": "bench" } },
    url: `${origin}/v1/traces`,
  });
  const queue = batcher<SpanData>({ exporter });
  const provider = createTracerProvider({
    sink: {
      end: (span) => void queue.add(span),
      flush: async () => void (await queue.flush()),
      close: () => queue.close(),
    },
  });
  const tracer = provider.getTracer("bench");
  let ended = 0;
  setInterval(() => {
    for (let i = 0; i < (SPANS_PER_SECOND * TICK_MS) / 1000; i++) leanSpan(tracer, i);
    ended += (SPANS_PER_SECOND * TICK_MS) / 1000;
  }, TICK_MS);
  answerMeasurements(async (seconds) => {
    const delay = monitorEventLoopDelay({ resolution: 1 });
    const cpu = cpuMicros();
    const before = ended;
    delay.enable();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    delay.disable();
    return { value: delay.percentile(PERCENTILE) / 1000, cpu: (cpuMicros() - cpu) / (ended - before) };
  });
}
