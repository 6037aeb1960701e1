import type { Meter, MeterProvider } from "@opentelemetry/api";
import type { AdminRoute } from "../endpoint/telemetry-port.ts";
import { deltas } from "./metrics/deltas.ts";
import { type MetricSender, periodic } from "./metrics/periodic.ts";
import { processMetrics } from "./metrics/process-metrics.ts";
import { CONTENT_TYPES, negotiate, prometheusText } from "./metrics/prometheus.ts";
import { createMeterProvider, type LeanMeterProvider } from "./metrics/provider.ts";
import { type StatsdOptions, statsd } from "./metrics/statsd.ts";
import type { Environment, MetricData, Resource } from "./model.ts";
import type { DeliveryCounters } from "./otlp/delivery.ts";
import { otlpExporter } from "./otlp/exporter.ts";
import { exportersOf, type SignalSetting } from "./signal-setting.ts";

/** Metrics, as `telemetry({ metrics })` takes them. */
export interface MetricsOptions {
  /** Another provider in place of the built-in one; `/metrics`, OTLP and StatsD are then its own affair. */
  readonly provider?: MeterProvider;
  /** Event loop, heap, garbage collection, processor time, open files. Default true. */
  readonly process?: boolean;
  /** Series of one instrument. 2 or more. Default 2000; what is more is counted together. */
  readonly maxSeries?: number;
  /** How distributions are kept: in `explicit` buckets, or in `exponential` ones, which are finer and need no bounds. Default: as `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION` says, else `explicit`. */
  readonly histograms?: "explicit" | "exponential";
  /** Sends metrics to a StatsD server too. Default none. */
  readonly statsd?: StatsdOptions;
  /** How often metrics are sent to a collector or to StatsD, milliseconds. Default: `OTEL_METRIC_EXPORT_INTERVAL`, else 60000. */
  readonly intervalMs?: number;
  /** How long one export may take before it is aborted, milliseconds. Default: `OTEL_METRIC_EXPORT_TIMEOUT`, else 30000. */
  readonly timeoutMs?: number;
}

/** Metrics of one process. */
export interface Metering {
  readonly provider: MeterProvider;
  /** The meter of all that Flotilla measures by itself. */
  readonly meter: Meter;
  readonly admin: Readonly<Record<string, AdminRoute>>;
  readonly errors: readonly string[];
  /** What became of what was exported by OTLP; undefined when nothing is. */
  readonly exported: DeliveryCounters | undefined;
  /** What every instrument has to say now; empty with another provider. */
  collect(): Promise<readonly MetricData[]>;
  /** Sends what there is, and stops; what is not sent in the time given, milliseconds, is dropped and counted. */
  close(timeoutMs: number): Promise<void>;
}

const METER = "flotilla";

/** Sets metrics up. @throws RangeError when an option is not legal, naming it. */
export function setUpMetering(options: MetricsOptions, setting: SignalSetting): Metering {
  const { provider } = options;
  if (provider !== undefined) {
    const meter = provider.getMeter(METER);
    const stop = options.process === false ? () => {} : processMetrics(meter);
    return {
      provider,
      meter,
      admin: {},
      errors: [],
      exported: undefined,
      collect: () => Promise.resolve([]),
      close: () => Promise.resolve(stop()),
    };
  }
  const { env, clock, resource } = setting;
  const errors: string[] = [];
  const built = createMeterProvider({
    clock,
    histograms: options.histograms ?? histogramsOf(env, errors),
    ...(options.maxSeries !== undefined && { maxSeries: options.maxSeries }),
    onWarning: (message) => setting.onError(new Error(message)),
  });
  const meter = built.getMeter(METER);
  const stop = options.process === false ? () => {} : processMetrics(meter);
  const times = {
    intervalMs: timeOf(options, "intervalMs", [env, "OTEL_METRIC_EXPORT_INTERVAL", errors], 60_000),
    timeoutMs: timeOf(options, "timeoutMs", [env, "OTEL_METRIC_EXPORT_TIMEOUT", errors], 30_000),
  };
  const { found, exported } = senders(options, setting, errors);
  const sender = periodic(found, built, times, clock);
  return {
    provider: built,
    meter,
    admin: { "/metrics": scrape(built, resource) },
    errors,
    exported,
    collect: () => built.collect(),
    async close(timeoutMs) {
      await sender.close(timeoutMs);
      stop();
    },
  };
}

function scrape(provider: LeanMeterProvider, resource: Resource): AdminRoute {
  return async ({ headers }) => {
    const accept = headers["accept"];
    const format = negotiate(typeof accept === "string" ? accept : accept?.join(","));
    const body = prometheusText(await provider.collect(), resource, format);
    return { status: 200, contentType: CONTENT_TYPES[format], body };
  };
}

interface Senders {
  readonly found: readonly MetricSender[];
  readonly exported: DeliveryCounters | undefined;
}

function senders(options: MetricsOptions, setting: SignalSetting, errors: string[]): Senders {
  const { env, otlp, resource, clock, random, onError } = setting;
  const found: MetricSender[] = [];
  let exported: DeliveryCounters | undefined;
  for (const name of exportersOf(env, "OTEL_METRICS_EXPORTER", otlp.metrics.endpointGiven)) {
    if (name === "otlp" && exported === undefined) {
      const { endpointGiven: _, ...settings } = otlp.metrics;
      const exporter = otlpExporter({ ...settings, resource, clock, random, onError });
      exported = exporter.counters;
      const since = preference(env, errors) === "delta" ? deltas() : undefined;
      found.push({
        send: (data, signal) => exporter.export(since === undefined ? data : since(data), signal),
        close: () => exporter.close(),
      });
    } else if (!["otlp", "none", "prometheus"].includes(name)) {
      errors.push(
        `OTEL_METRICS_EXPORTER has ${JSON.stringify(name)}, which is none of otlp, prometheus, none: it is ignored`,
      );
    }
  }
  if (options.statsd !== undefined) {
    const client = statsd(options.statsd);
    const since = deltas();
    found.push({ send: (data) => client.send(since(data)), close: () => client.close() });
  }
  return { found, exported };
}

/** A time in milliseconds: as the options say, else the environment, else the default. */
function timeOf(
  options: MetricsOptions,
  option: "intervalMs" | "timeoutMs",
  [env, variable, errors]: readonly [Environment, string, string[]],
  otherwise: number,
): number {
  const given = options[option];
  if (given !== undefined) {
    if (!(given > 0)) throw new RangeError(`telemetry: metrics.${option} must be more than 0, got ${given}`);
    return given;
  }
  const text = env[variable]?.trim() ?? "";
  if (text === "") return otherwise;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  errors.push(`${variable} is ${JSON.stringify(text)}, which is no number of milliseconds: ${otherwise} is used`);
  return otherwise;
}

function preference(env: Environment, errors: string[]): "cumulative" | "delta" {
  const name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
  const text = env[name]?.trim().toLowerCase() ?? "";
  if (text === "delta" || text === "lowmemory") return "delta";
  if (text !== "" && text !== "cumulative") {
    errors.push(
      `${name} is ${JSON.stringify(text)}, which is none of cumulative, delta, lowmemory: cumulative is used`,
    );
  }
  return "cumulative";
}

function histogramsOf(env: Environment, errors: string[]): "explicit" | "exponential" {
  const name = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
  const text = env[name]?.trim().toLowerCase() ?? "";
  if (text === "base2_exponential_bucket_histogram") return "exponential";
  if (text !== "" && text !== "explicit_bucket_histogram") {
    errors.push(`${name} is ${JSON.stringify(text)}: explicit_bucket_histogram is used`);
  }
  return "explicit";
}
