import type { Context } from "../context/context.ts";
import type { LifecycleEvent } from "../endpoint/lifecycle-event.ts";
import type { ErrorReporter } from "../endpoint/report.ts";
import type { AdminRoute } from "../endpoint/telemetry-port.ts";
import type { CallLog } from "./calls/ports.ts";
import { nameOf } from "./calls/rpc-attributes.ts";
import { CALLS, callLog } from "./log/call-line.ts";
import { LEVEL_PATH, levelRoute } from "./log/level-route.ts";
import type { LogSink } from "./log/log-sink.ts";
import { type Logger, log, loggerOf, withLogging } from "./log/logger.ts";
import { type LogCounters, Logging } from "./log/logging.ts";
import type { LogsOptions } from "./log/options.ts";
import type { Pino } from "./log/pino-root.ts";
import { onProcessEnd } from "./log/process-end.ts";
import type { LogData } from "./model.ts";
import { type Batcher, batcher } from "./otlp/batcher.ts";
import { otlpExporter } from "./otlp/exporter.ts";
import { exportersOf, type SignalSetting } from "./signal-setting.ts";

/** What logging is set up with. */
export interface LoggingSetting extends SignalSetting {
  /** `service.name`, where the program or its environment has said it. */
  readonly service: string | undefined;
}

/** Logging of one process. */
export interface LoggingSetUp {
  readonly calls: CallLog | undefined;
  readonly logger: Logger;
  readonly pino: Pino;
  readonly admin: Readonly<Record<string, AdminRoute>>;
  readonly errors: readonly string[];
  readonly counters: LogCounters;
  /** What waits for a collector; undefined without one. */
  readonly batch: Batcher<LogData> | undefined;
  readonly onError: ErrorReporter;
  readonly onEvent: (event: LifecycleEvent) => void;
  enter(ctx: Context): Context;
  /** Writes and sends what waits. */
  flush(): Promise<void>;
  close(timeoutMs: number): Promise<void>;
}

/** Sets logging up. @throws RangeError when an option is not legal, naming it. */
export function setUpLogging(options: LogsOptions, setting: LoggingSetting): LoggingSetUp {
  const { env, clock, service, onError } = setting;
  const errors: string[] = [];
  const batch = options.sinks === undefined ? collector(setting, errors) : undefined;
  const sinks = options.sinks ?? (batch === undefined ? [] : [batchSink(batch)]);
  const logging = new Logging({ ...options, sinks }, { env, clock, service, onError });
  const lifecycle = loggerOf(logging, "host");
  const calling = loggerOf(logging, "channel");
  const forget = onProcessEnd({
    crash(error, origin) {
      loggerOf(logging).fatal(
        error,
        `the process ends: ${origin === "unhandledRejection" ? "a rejection that nobody handles" : "an error that nobody caught"}`,
      );
      logging.releaseAll();
    },
    signal: () => logging.tellSuppressed(),
    exit: () => logging.tellSuppressed(),
    toggle() {
      const on = logging.table.toggleDebug();
      loggerOf(logging, "log").info(on ? "debug lines are on: SIGUSR2" : "debug lines are off: SIGUSR2");
    },
  });
  return {
    calls: options.calls === false ? undefined : callLog(logging, options.calls ?? {}),
    logger: loggerOf(logging),
    pino: logging.pino,
    admin: { [LEVEL_PATH]: levelRoute(logging.table) },
    errors: [...errors, ...logging.errors],
    get counters() {
      return logging.counters;
    },
    batch,
    onError(error, method, ctx) {
      log(ctx, CALLS).error(error.cause ?? error, `${nameOf(method)} failed with ${error.code}`);
    },
    onEvent({ event, message, error, host }) {
      const level = event === "failed" ? "error" : event === "warning" ? "warn" : "info";
      const logger = host === undefined ? calling : lifecycle;
      const name = host !== undefined && host !== service ? { host } : {};
      logger[level]({ ...name, ...(error !== undefined && { err: error }) }, message);
    },
    enter: (ctx) => withLogging(ctx, logging),
    async flush() {
      await Promise.all([logging.output.flush(), batch?.flush()]);
    },
    async close(timeoutMs) {
      forget();
      await Promise.all([logging.close(), batch?.close(timeoutMs)]);
    },
  };
}

/** Logs go to a collector only when they are sent there by name: most already have something that reads standard output. */
function collector(setting: SignalSetting, errors: string[]): Batcher<LogData> | undefined {
  const { env, otlp, resource, clock, random, onError } = setting;
  let batch: Batcher<LogData> | undefined;
  for (const name of exportersOf(env, "OTEL_LOGS_EXPORTER", false)) {
    if (name === "otlp" && batch === undefined) {
      const { endpointGiven: _, ...settings } = otlp.logs;
      batch = batcher({
        ...otlp.logBatch,
        exporter: otlpExporter({ ...settings, resource, clock, random, onError }),
        clock,
      });
    } else if (name !== "none" && name !== "console" && name !== "otlp") {
      errors.push(
        `OTEL_LOGS_EXPORTER has ${JSON.stringify(name)}, which is none of otlp, console, none: it is ignored`,
      );
    }
  }
  return batch;
}

function batchSink(batch: Batcher<LogData>): LogSink {
  return { emit: (record) => void batch.add(record) };
}
