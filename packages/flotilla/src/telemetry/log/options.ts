import type { Clock } from "../../clock/clock.ts";
import type { Environment } from "../model.ts";
import type { BurstOptions } from "./burst.ts";
import type { LogLimits } from "./contain.ts";
import type { LogFormat } from "./formats.ts";
import type { HoldOptions } from "./held-lines.ts";
import type { LogSink } from "./log-sink.ts";

/** Logging, as `telemetry({ logs })` takes it. */
export interface LogsOptions {
  /** Thresholds: `info,db=debug`. Default `LOG_LEVEL`, else `info`. */
  readonly level?: string;
  /** Default `LOG_FORMAT`, else `pretty` on a terminal and `json` elsewhere. */
  readonly format?: LogFormat;
  /** Descriptor that lines are written to. Default 1, standard output. */
  readonly fd?: number;
  /** Most bytes that wait for a reader; further lines are dropped and counted. 65,536 or more. Default 8 MiB. */
  readonly maxBytes?: number;
  /** A line waits at most so long for others to be written with it, milliseconds. Default 5. */
  readonly flushMs?: number;
  /** At the end, the reader may take nothing for so long before the rest is given up, milliseconds. Default 2000. */
  readonly patienceMs?: number;
  /** Fields whose values are not written: `user.email`, `*.token`, `items[*].card`, `**.password` at any depth. Default none. */
  readonly redact?: readonly string[];
  /** Most of a line, a string, and so on. */
  readonly limits?: Partial<LogLimits>;
  /** What is written in place of a field's value, by the field's name. Default none. */
  readonly serializers?: Readonly<Record<string, (value: never) => unknown>>;
  /** Lines of one message; `false`: all are written. */
  readonly burst?: BurstOptions | false;
  /** Lines below the threshold are kept until a call has succeeded; `false`: they are not. */
  readonly hold?: HoldOptions | false;
  /** The line a served call; `false`: none is written. */
  readonly calls?: CallLineOptions | false;
  /** Where lines go besides. Default: a collector where `OTEL_LOGS_EXPORTER` has `otlp`, else nowhere. */
  readonly sinks?: readonly LogSink[];
  /** Fields of every line. Default `{ service }` where the service has a name. */
  readonly base?: Readonly<Record<string, unknown>>;
}

/** Options of the line a served call. */
export interface CallLineOptions {
  /** From here on a call is slow: its line is a warning, and what it held back is written. Milliseconds, more than 0. Default 1000. */
  readonly slowMs?: number;
}

/** What logging needs of its surroundings. */
export interface LogSetting {
  readonly env: Environment;
  readonly clock: Clock;
  /** `service.name` where the program has said it. */
  readonly service: string | undefined;
  /** Told of lines that are lost. Default: a line to standard error. */
  readonly onError?: (error: Error) => void;
}
