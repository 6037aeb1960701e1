import type { Attributes, Meter, MeterProvider, TracerProvider } from "@opentelemetry/api";
import type { Clock } from "../clock/clock.ts";
import { type Random, systemRandom } from "../clock/random.ts";
import { systemClock } from "../clock/system-clock.ts";
import { within } from "../clock/within.ts";
import { statePage } from "../endpoint/state-page.ts";
import type { StateReport } from "../endpoint/state-report.ts";
import type { TelemetryPort } from "../endpoint/telemetry-port.ts";
import { clientObserver } from "./calls/client-observer.ts";
import { serverObserver } from "./calls/server-observer.ts";
import { closeAll } from "./close-all.ts";
import type { Logger } from "./log/logger.ts";
import type { LogsOptions } from "./log/options.ts";
import type { Pino } from "./log/pino-root.ts";
import { type LoggingSetUp, setUpLogging } from "./logs.ts";
import { type MetricsOptions, setUpMetering } from "./metering.ts";
import { callMeter } from "./metrics/call-meter.ts";
import { sdkMetrics } from "./metrics/sdk-metrics.ts";
import { StateMetrics } from "./metrics/state-metrics.ts";
import type { Environment, MetricData } from "./model.ts";
import { otlpFromEnv } from "./otlp/env.ts";
import { resourceFrom } from "./resource.ts";
import { withStarter } from "./trace/current-span.ts";
import { setUpTracing, type TracesOptions } from "./tracing.ts";

/** Options of {@link telemetry}. What is not said is read from the environment, by OpenTelemetry's standard variables. */
export interface TelemetryOptions {
  /** `service.name`. Default `OTEL_SERVICE_NAME`, else `unknown_service:node`. */
  readonly service?: string;
  /** `service.version`. Default none. */
  readonly version?: string;
  /** Further attributes of the resource. Default `OTEL_RESOURCE_ATTRIBUTES`. */
  readonly attributes?: Attributes;
  /** Tracing; `false` for none. */
  readonly traces?: TracesOptions | false;
  /** Metrics; `false` for none. */
  readonly metrics?: MetricsOptions | false;
  /** Logging; `false` for none. */
  readonly logs?: LogsOptions | false;
  /** Told of what is wrong with the environment, at the start, and of what could not be exported. Default: a line to standard error, at most one a minute. */
  readonly onError?: (error: Error) => void;
  /** Default `process.env`. */
  readonly env?: Environment;
  /** Should be that of the host and the channels. Default: the system's. */
  readonly clock?: Clock;
  /** For ids, samplers and waits between tries. Default: the system's. */
  readonly random?: Random;
}

/** Telemetry of one process: what {@link telemetry} makes. */
export interface Telemetry extends TelemetryPort {
  /** For `trace.setGlobalTracerProvider`, and for tracers of your own; undefined without tracing. */
  readonly tracerProvider: TracerProvider | undefined;
  /** For `metrics.setGlobalMeterProvider`; undefined without metrics. */
  readonly meterProvider: MeterProvider | undefined;
  /** For instruments of your own; undefined without metrics. */
  readonly meter: Meter | undefined;
  /** For lines of no context, as those of a `main`; undefined without logging. Under a context there is `log(ctx)`. */
  readonly logger: Logger | undefined;
  /** For libraries that want pino; undefined without logging. */
  readonly pino: Pino | undefined;
  flush(timeoutMs?: number): Promise<void>;
  /** What every instrument has to say now. Empty without metrics, and with another provider. */
  collect(): Promise<readonly MetricData[]>;
}

/** How long a flush may take when nothing else is said, milliseconds. */
const FLUSH_MS = 5000;

/** Failures of export come in crowds; one line of them a minute is enough. */
const REPORT_EVERY_MS = 60_000;

/**
 * Turns tracing, metrics and logging on: one span a served call and a call made; rate, errors and duration of every method and the state of
 * the process, `/metrics` on the admin port; one line a served call, `log(ctx)`, `/log/level` on the admin port.
 *
 * ```ts
 * const observed = telemetry({ service: "booking" });
 * const services = channel({ discover: embedded(), telemetry: observed });
 * await host({ name: "booking", serve, listen, telemetry: observed }).run();
 * ```
 *
 * Nothing is sent anywhere unless the environment names a collector (`OTEL_EXPORTER_OTLP_ENDPOINT`) or an exporter
 * (`OTEL_TRACES_EXPORTER=console` draws every trace). `OTEL_SDK_DISABLED=true` turns tracing and metrics off but for the passing on of trace context.
 *
 * @throws RangeError when an option is not legal, naming it. What is wrong with the environment is told to `onError` and then ignored.
 */
export function telemetry(options: TelemetryOptions = {}): Telemetry {
  const { env = process.env, clock = systemClock, random = systemRandom } = options;
  const onError = options.onError ?? seldom(clock);
  const off = env["OTEL_SDK_DISABLED"]?.trim().toLowerCase() === "true";
  const { resource, errors } = resourceFrom(options, env);
  const otlp = otlpFromEnv(env);
  const setting = { resource, env, otlp, clock, random, onError };
  const tracing = options.traces === false || off ? undefined : setUpTracing(options.traces ?? {}, setting);
  const metering = options.metrics === false || off ? undefined : setUpMetering(options.metrics ?? {}, setting);
  const service = String(resource.attributes["service.name"]);
  const logging =
    options.logs === false
      ? undefined
      : setUpLogging(options.logs ?? {}, {
          ...setting,
          service: service.startsWith("unknown_service") ? undefined : service,
        });
  if (logging !== undefined && metering !== undefined) countLines(metering.meter, logging);
  if (metering !== undefined) {
    sdkMetrics(metering.meter, {
      spans: tracing?.counts,
      spanQueue: tracing?.batch?.counters,
      spanExport: tracing?.exporter?.counters,
      logQueue: logging?.batch?.counters,
      pointExport: metering.exported,
    });
  }
  // What concerns telemetry that is turned off is nobody's business.
  const wrong = [
    ...(off ? [] : [...errors, ...otlp.errors]),
    ...(tracing?.errors ?? []),
    ...(metering?.errors ?? []),
    ...(logging?.errors ?? []),
  ];
  if (wrong.length > 0) (options.onError ?? toStandardError)(new Error(wrong.join("\n")));

  const instruments = {
    starter: tracing?.starter,
    b3: tracing?.b3,
    meter: metering === undefined ? undefined : callMeter(metering.meter),
    log: logging?.calls,
  };
  const reports = new Set<(to: StateReport) => void>();
  const states = metering && new StateMetrics(metering.meter, reports);
  let closing: Promise<void> | undefined;
  return {
    server: serverObserver(instruments),
    client: (protocol) => clientObserver(instruments, protocol),
    admin: {
      ...metering?.admin,
      ...logging?.admin,
      "/state": statePage((to) => {
        for (const report of reports) report(to);
      }),
    },
    enter(root) {
      const traced = tracing === undefined ? root : withStarter(root, tracing.starter);
      return logging?.enter(traced) ?? traced;
    },
    watch(report) {
      // A wrapper of its own, so that one function watched twice counts as two.
      const watched = (to: StateReport): void => report(to);
      states?.begin(watched);
      reports.add(watched);
      return () => {
        if (reports.delete(watched)) states?.end(watched);
      };
    },
    ...(logging !== undefined && { onError: logging.onError, onEvent: logging.onEvent }),
    tracerProvider: tracing?.provider,
    meterProvider: metering?.provider,
    meter: metering?.meter,
    logger: logging?.logger,
    pino: logging?.pino,
    collect: () => metering?.collect() ?? Promise.resolve([]),
    async flush(timeoutMs = FLUSH_MS) {
      const flushing = Promise.all([tracing?.flush(), logging?.flush()]).catch((error: unknown) => {
        onError(new Error("telemetry could not be flushed", { cause: error }));
      });
      await within(clock, timeoutMs, flushing);
    },
    close: (timeoutMs) => (closing ??= closeAll({ tracing, metering, logging }, clock, timeoutMs)),
  };
}

function countLines(meter: Meter, logging: LoggingSetUp): void {
  const lines = meter.createObservableCounter("flotilla.log.lines", {
    unit: "{line}",
    description: "Lines of the log.",
  });
  const waiting = meter.createObservableUpDownCounter("flotilla.log.waiting", {
    unit: "By",
    description: "Lines of the log that wait for a reader.",
  });
  meter.addBatchObservableCallback(
    (to) => {
      const { written, dropped, suppressed, waitingBytes } = logging.counters;
      to.observe(lines, written, { outcome: "written" });
      to.observe(lines, dropped, { outcome: "dropped" });
      to.observe(lines, suppressed, { outcome: "suppressed" });
      to.observe(waiting, waitingBytes);
    },
    [lines, waiting],
  );
}

function seldom(clock: Clock): (error: Error) => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  let silent = 0;
  return (error) => {
    if (clock.now() - lastMs < REPORT_EVERY_MS) {
      silent++;
      return;
    }
    lastMs = clock.now();
    const more = silent === 0 ? "" : ` (and ${silent} more like it)`;
    silent = 0;
    toStandardError(new Error(`${error.message}${more}`));
  };
}

function toStandardError(error: Error): void {
  process.stderr.write(`telemetry: ${error.message.replaceAll("\n", "\ntelemetry: ")}\n`);
}
