import type { Attributes, Meter, MeterProvider, TracerProvider } from "@opentelemetry/api";
import type { Clock } from "../clock/clock.ts";
import { type Random, systemRandom } from "../clock/random.ts";
import { systemClock } from "../clock/system-clock.ts";
import type { TelemetryPort } from "../endpoint/telemetry-port.ts";
import { clientObserver } from "./calls/client-observer.ts";
import { serverObserver } from "./calls/server-observer.ts";
import { type MetricsOptions, setUpMetering } from "./metering.ts";
import { callMeter } from "./metrics/call-meter.ts";
import type { Environment, MetricData } from "./model.ts";
import { otlpFromEnv } from "./otlp/env.ts";
import { resourceFrom } from "./resource.ts";
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
  /** Told of what is wrong with the environment, at the start, and of what could not be exported. Default: a line to standard error, at most one a minute. */
  readonly onError?: (error: Error) => void;
  /** Default `process.env`. */
  readonly env?: Environment;
  readonly clock?: Clock;
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
  /** What every instrument has to say now. Empty without metrics, and with another provider. */
  collect(): Promise<readonly MetricData[]>;
}

/** Failures of export come in crowds; one line of them a minute is enough. */
const REPORT_EVERY_MS = 60_000;

/**
 * Turns tracing and metrics on: one span a served call and a call made, rate, errors and duration of every method, the state of the process,
 * `/metrics` on the admin port.
 *
 * ```ts
 * const observed = telemetry({ service: "booking" });
 * const services = channel({ discover: embedded(), telemetry: observed });
 * await host({ name: "booking", serve, listen, telemetry: observed }).run();
 * ```
 *
 * Nothing is sent anywhere unless the environment names a collector (`OTEL_EXPORTER_OTLP_ENDPOINT`) or an exporter
 * (`OTEL_TRACES_EXPORTER=console` draws every trace). `OTEL_SDK_DISABLED=true` turns all off but the passing on of trace context.
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
  const wrong = [...errors, ...otlp.errors, ...(tracing?.errors ?? []), ...(metering?.errors ?? [])];
  if (!off && wrong.length > 0) (options.onError ?? toStandardError)(new Error(wrong.join("\n")));

  const instruments = {
    starter: tracing?.starter,
    b3: tracing?.b3,
    meter: metering === undefined ? undefined : callMeter(metering.meter),
    log: undefined,
  };
  let closing: Promise<void> | undefined;
  return {
    server: serverObserver(instruments),
    client: clientObserver(instruments),
    admin: metering?.admin ?? {},
    tracerProvider: tracing?.provider,
    meterProvider: metering?.provider,
    meter: metering?.meter,
    collect: () => metering?.collect() ?? Promise.resolve([]),
    close() {
      closing ??= Promise.all([tracing?.close(), metering?.close()]).then(() => {});
      return closing;
    },
  };
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
