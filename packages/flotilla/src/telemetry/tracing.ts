import type { TracerProvider } from "@opentelemetry/api";
import type { Environment, SpanData } from "./model.ts";
import { type Batcher, batcher } from "./otlp/batcher.ts";
import { type OtlpExporter, otlpExporter } from "./otlp/exporter.ts";
import { exportersOf, type SignalSetting } from "./signal-setting.ts";
import type { SpanStarter } from "./trace/active-span.ts";
import { consoleSink } from "./trace/console-sink.ts";
import { spanStarter } from "./trace/foreign-span.ts";
import { type KeepOptions, keep } from "./trace/keep.ts";
import type { SpanLimits } from "./trace/limits.ts";
import { createTracerProvider, type LeanTracerProvider } from "./trace/provider.ts";
import type { Sampler } from "./trace/sampler.ts";
import { samplerFromEnv } from "./trace/sampler-env.ts";
import { type SpanSink, tee } from "./trace/sink.ts";

/** Tracing, as `telemetry({ traces })` takes it. */
export interface TracesOptions {
  /** Which traces that begin here are recorded. Default: `OTEL_TRACES_SAMPLER`, else all, and those that came in as the caller decided. */
  readonly sampler?: Sampler;
  /** Keeps errors, slow traces and a share of the rest, decided when a trace ends in this process. Default: all are kept. */
  readonly keep?: KeepOptions;
  /**
   * Where spans go. Default: `OTEL_TRACES_EXPORTER` (`otlp`, `console`, `none`, several with commas between); when that is not set: `otlp` if an
   * endpoint is, else nowhere.
   */
  readonly sinks?: readonly SpanSink[];
  /** Another provider in place of the built-in one, such as the official SDK's; all other options but `b3` are then its own affair. */
  readonly provider?: TracerProvider;
  /** Most of a span. Default 128 attributes, events and links, 128 attributes of each of these, values of 65,536 characters. */
  readonly limits?: Partial<SpanLimits>;
  /** Reads and writes Zipkin's B3 headers beside W3C's: `single`, or the older `multi`. Default: as `OTEL_PROPAGATORS` says, else neither. */
  readonly b3?: "single" | "multi" | false;
}

/** Tracing of one process. */
export interface Tracing {
  readonly provider: TracerProvider;
  readonly starter: SpanStarter;
  readonly b3: "single" | "multi" | undefined;
  /** What was wrong with the environment. */
  readonly errors: readonly string[];
  /** How many spans began; undefined with another provider. */
  readonly counts: LeanTracerProvider["counts"] | undefined;
  readonly batch: Batcher<SpanData> | undefined;
  readonly exporter: OtlpExporter<SpanData> | undefined;
  /** Sends what there is. @throws what the sinks, or a provider of the program's own, fail with. */
  flush(): Promise<void>;
  /** Sends what there is, and stops; what is not sent in the time given, milliseconds, is dropped and counted. */
  close(timeoutMs: number): Promise<void>;
}

const DROPPED = {
  queue_full: "they came faster than the collector takes them; see OTEL_BSP_MAX_QUEUE_SIZE",
  closed: "the collector did not take them in the time there was to close",
} as const;

/** Name of the tracer of all spans that Flotilla makes by itself. */
const TRACER = "flotilla";

/** Sets tracing up. @throws RangeError when an option is not legal, naming it. */
export function setUpTracing(options: TracesOptions, setting: SignalSetting): Tracing {
  const { env, clock, random } = setting;
  const b3 = options.b3 ?? b3FromEnv(env);
  if (options.provider !== undefined) {
    return {
      provider: options.provider,
      starter: spanStarter(options.provider, TRACER, undefined, clock),
      b3: b3 === false ? undefined : b3,
      errors: [],
      counts: undefined,
      batch: undefined,
      exporter: undefined,
      flush: async () => (options.provider as Partial<LeanTracerProvider>).forceFlush?.(),
      close: () => Promise.resolve(),
    };
  }
  const { sampler, errors } = samplerFromEnv(env);
  const found = [...errors];
  const { sinks, batch, exporter } = sinksOf(options, setting, found);
  const all = sinks.length === 1 ? sinks[0]! : tee(...sinks);
  const chosen = options.sampler ?? sampler;
  const provider = createTracerProvider({
    sink: options.keep === undefined ? all : keep(all, options.keep),
    ...(chosen !== undefined && { sampler: chosen }),
    ...(options.limits !== undefined && { limits: options.limits }),
    clock,
    random,
  });
  return {
    provider,
    starter: provider.getTracer(TRACER),
    b3: b3 === false ? undefined : b3,
    errors: found,
    counts: provider.counts,
    batch,
    exporter,
    flush: () => provider.forceFlush(),
    close: (timeoutMs) => provider.shutdown(timeoutMs),
  };
}

interface Sinks {
  readonly sinks: readonly SpanSink[];
  readonly batch?: Batcher<SpanData>;
  readonly exporter?: OtlpExporter<SpanData>;
}

function sinksOf(options: TracesOptions, setting: SignalSetting, errors: string[]): Sinks {
  if (options.sinks !== undefined) return { sinks: options.sinks };
  const { otlp, resource, clock, random, env, onError } = setting;
  const sinks: SpanSink[] = [];
  let batch: Batcher<SpanData> | undefined;
  let exporter: OtlpExporter<SpanData> | undefined;
  for (const name of exportersOf(env, "OTEL_TRACES_EXPORTER", otlp.traces.endpointGiven)) {
    if (name === "none") continue;
    if (name === "console") {
      sinks.push(consoleSink({ clock, env }));
    } else if (name === "otlp" && batch === undefined) {
      const { endpointGiven: _, ...settings } = otlp.traces;
      exporter = otlpExporter({ ...settings, resource, clock, random, onError });
      batch = batcher({
        ...otlp.spanBatch,
        exporter,
        clock,
        onDrop(lost, reason) {
          // The exporter has told of what it gave up.
          if (reason !== "export_failed") onError(new Error(`${lost} spans were dropped: ${DROPPED[reason]}`));
        },
      });
      sinks.push(batchSink(batch));
    } else if (name !== "otlp") {
      errors.push(
        `OTEL_TRACES_EXPORTER has ${JSON.stringify(name)}, which is none of otlp, console, none: it is ignored`,
      );
    }
  }
  return { sinks, ...(batch !== undefined && { batch }), ...(exporter !== undefined && { exporter }) };
}

function batchSink(batch: Batcher<SpanData>): SpanSink {
  return {
    end: (span) => void batch.add(span),
    flush: async () => void (await batch.flush()),
    close: (timeoutMs) => batch.close(timeoutMs),
  };
}

function b3FromEnv(env: Environment): "single" | "multi" | undefined {
  const names = new Set((env["OTEL_PROPAGATORS"] ?? "").split(",").map((name) => name.trim().toLowerCase()));
  return names.has("b3") ? "single" : names.has("b3multi") ? "multi" : undefined;
}
