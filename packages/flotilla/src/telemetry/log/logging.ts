import { isatty } from "node:tty";
import type { Clock } from "../../clock/clock.ts";
import type { TraceHeaders } from "../../metadata/trace-headers.ts";
import { isActiveSpan } from "../trace/active-span.ts";
import { Timeline } from "../trace/time.ts";
import { BurstLimiter } from "./burst.ts";
import { Container, type CopyRules, defaultLimits, type SafeFields, safeFields } from "./contain.ts";
import { colourFrom, type Formatter, formatterOf, type LogFormat, logFormats } from "./formats.ts";
import { type HeldLine, type HeldLines, HoldBudget } from "./held-lines.ts";
import { type Component, LevelTable } from "./level-table.ts";
import { type Level, levelName, levelNumbers, parseLevels } from "./levels.ts";
import { LineWriter } from "./line-writer.ts";
import { LogOutput } from "./log-output.ts";
import type { LogSink } from "./log-sink.ts";
import type { LogSetting, LogsOptions } from "./options.ts";
import { asText, createPino, FRAME, lineNames, type Pino, type PinoSetting, writeLine } from "./pino-root.ts";
import { Redaction } from "./redaction.ts";
import { quoted } from "./text.ts";

/** What became of the lines of a process. */
export interface LogCounters {
  readonly written: number;
  /** Nobody read them, or they could not be written. */
  readonly dropped: number;
  /** Too many of one message. */
  readonly suppressed: number;
  /** Bytes that wait for a reader. */
  readonly waitingBytes: number;
}

/** What somebody has said, as it was given. */
export interface Said {
  readonly component: Component;
  readonly level: Level;
  /** The position in a trace that it belongs to. */
  readonly trace: TraceHeaders | undefined;
  /** Fields of the logger. */
  readonly bound: SafeFields | undefined;
  /** Fields, what was thrown, or the message. */
  readonly first: unknown;
  readonly message: string | undefined;
}

/** All that the lines of one process share. */
export class Logging {
  readonly clock: Clock;
  readonly table: LevelTable;
  readonly rules: CopyRules;
  /** Undefined: lines below the threshold are not kept. */
  readonly budget: HoldBudget | undefined;
  /** From this level's number on lines are kept. */
  readonly heldFrom: number;
  readonly output: LogOutput;
  /** Fields of every line, as JSON that follows another field. */
  readonly baseJson: string;
  readonly pino: Pino;
  /** What was wrong with the environment. */
  readonly errors: readonly string[];
  readonly #burst: BurstLimiter | undefined;
  readonly #writer: LineWriter;
  readonly #timeline: Timeline;
  #suppressed = 0;
  #lastMs = Number.NaN;
  #lastText = "";
  /** When the line that is being written was made; undefined: now. */
  #madeMs: number | undefined;

  /** @throws RangeError when an option is not legal, naming it. What is wrong with the environment is kept in `errors`. */
  constructor(options: LogsOptions, { env, clock, service, onError }: LogSetting) {
    const { fd = 1, limits, redact, serializers = {}, hold, burst, sinks = [] } = options;
    const errors: string[] = [];
    this.errors = errors;
    this.clock = clock;
    this.#timeline = new Timeline(clock);
    this.rules = { redaction: new Redaction(redact), limits: { ...defaultLimits, ...limits }, serializers };
    this.budget = hold === false ? undefined : new HoldBudget(hold ?? {});
    this.heldFrom = levelNumbers[(hold !== false && hold?.level) || "debug"];
    this.#writer = new LineWriter({
      fd,
      clock,
      ...(options.maxBytes !== undefined && { maxBytes: options.maxBytes }),
      ...(options.flushMs !== undefined && { flushMs: options.flushMs }),
      ...(options.patienceMs !== undefined && { patienceMs: options.patienceMs }),
      reportDropped: (lines) =>
        this.output.format(this.#aboutLines("warn", "lines dropped", "dropped", lines, undefined)),
      onError: onError ?? toStandardError,
    });
    this.output = new LogOutput(this.#writer, formatOf(options, env, fd, errors), joined(sinks));
    if (burst !== false) this.#burst = new BurstLimiter(burst ?? {}, clock, (...told) => this.#tellSuppressed(...told));
    const base = safeFields();
    new Container(this.rules, 4096).addFields(base, options.base ?? (service !== undefined && { service }), lineNames);
    this.baseJson = Object.entries(base)
      .map(([name, value]) => `,${quoted(name)}:${JSON.stringify(value)}`)
      .join("");
    const setting: PinoSetting = {
      rules: this.rules,
      base,
      epoch: () => this.#madeMs ?? this.epochMs(),
      admit: (level, message) => this.admits(level, message),
      destination: this.output,
    };
    this.pino = createPino(setting);
    this.table = new LevelTable(this.pino, levelsOf(options.level, env, errors));
  }

  get counters(): LogCounters {
    return { ...this.#writer.counters, suppressed: this.#suppressed };
  }

  /** What a line has for `time`: whole milliseconds. */
  epochMs(): number {
    return Math.round(this.clock.epoch());
  }

  /**
   * The same as text, without asking the wall clock: on some machines that takes longer than all the rest of a line. A busy server writes
   * many lines in one millisecond.
   *
   * @param nowMs - on the clock.
   */
  textAt(nowMs: number): string {
    const epochMs = Math.round(nowMs + this.#timeline.anchorAt(nowMs).epochMinusNow);
    if (epochMs !== this.#lastMs) {
      this.#lastMs = epochMs;
      this.#lastText = String(epochMs);
    }
    return this.#lastText;
  }

  /** Safe copies of fields, those of a parent first. */
  fields(parent: SafeFields | undefined, added: object): SafeFields {
    const merged = safeFields();
    for (const name in parent) merged[name] = parent[name];
    new Container(this.rules, this.rules.limits.lineLength / 4).addFields(merged, added, lineNames);
    return merged;
  }

  /** Writes a line, unless there have been too many of its kind. */
  line(said: Said): void {
    const { component, level } = said;
    const container = new Container(this.rules, this.rules.limits.lineLength - FRAME);
    const text = textOf(container, said);
    if (!this.admits(levelNumbers[level], text)) return;
    this.#put(component, level, fieldsOf(container, said), text, flagsOf(said.trace));
  }

  /** A line that is not written yet. */
  heldLine(said: Said): HeldLine {
    const { component, level } = said;
    const budget = this.rules.limits.lineLength - FRAME;
    const container = new Container(this.rules, budget);
    const text = textOf(container, said);
    const fields = fieldsOf(container, said);
    const size = budget - container.left + FRAME;
    return { component, level, epochMs: this.epochMs(), fields, text, flags: flagsOf(said.trace), size };
  }

  /** Writes what was kept back. */
  release(held: HeldLines): void {
    const { lines, lost } = held.take();
    for (const { component, level, epochMs, fields, text, flags } of lines) {
      if (!this.admits(levelNumbers[level], text)) continue;
      this.#madeMs = epochMs;
      this.#put(component, level, fields, text, flags);
      this.#madeMs = undefined;
    }
    if (lost > 0) this.output.write(this.#aboutLines("debug", "held lines lost", "lost", lost, undefined));
  }

  /** Writes what every call in flight has kept back: the process is about to end. */
  releaseAll(): void {
    for (const held of this.budget?.holders ?? []) this.release(held);
  }

  /** Writes how many lines were suppressed and not told of yet. */
  tellSuppressed(): void {
    this.#burst?.flush();
  }

  async close(): Promise<void> {
    this.tellSuppressed();
    await this.output.close();
  }

  #put(component: Component, level: Level, fields: SafeFields, text: string, flags: number): void {
    this.output.traceFlags = flags;
    writeLine(component.raw, level, fields, text);
  }

  /** Whether a line of this message may be written now, by the limit of bursts. */
  admits(level: number, message: string): boolean {
    if (this.#burst === undefined || this.#burst.admit(level, message)) return true;
    this.#suppressed++;
    return false;
  }

  #tellSuppressed(level: number, message: string, lines: number): void {
    this.output.write(this.#aboutLines(levelName(level), "lines suppressed", "suppressed", lines, message));
  }

  #aboutLines(level: Level, text: string, name: string, lines: number, of: string | undefined): string {
    const which = of === undefined ? "" : `,"of":${JSON.stringify(of)}`;
    const { baseJson } = this;
    return `{"level":${levelNumbers[level]},"time":${this.epochMs()}${baseJson},"component":"log","${name}":${lines}${which},"msg":"${text}"}\n`;
  }
}

function textOf(container: Container, { first, message }: Said): string {
  if (typeof first === "string" && message === undefined) return container.string(first);
  if (message !== undefined) return asText(container, message);
  try {
    return first instanceof Error ? asText(container, first.message) : "";
  } catch {
    // A proxy that throws when looked at: its field says so.
    return "";
  }
}

function fieldsOf(container: Container, { trace, bound, first, message }: Said): SafeFields {
  const fields = safeFields();
  if (trace !== undefined) {
    const { traceparent } = trace;
    fields["trace_id"] = traceparent.slice(3, 35);
    fields["span_id"] = traceparent.slice(36, 52);
  }
  for (const name in bound) fields[name] = bound[name];
  if (typeof first === "object" && first !== null) container.addFields(fields, first, lineNames);
  // What was thrown need not be an object; a string alone is the message.
  else if (first !== undefined && (message !== undefined || typeof first !== "string")) {
    fields["err"] = container.field("err", first);
  }
  return fields;
}

function flagsOf(trace: TraceHeaders | undefined): number {
  if (trace === undefined) return 0;
  return isActiveSpan(trace) ? trace.traceFlags : Number.parseInt(trace.traceparent.slice(53, 55), 16);
}

function levelsOf(level: string | undefined, env: LogSetting["env"], errors: string[]) {
  if (level !== undefined) return parseLevels(level, "logs.level");
  try {
    return parseLevels(env["LOG_LEVEL"] ?? "");
  } catch (error) {
    errors.push(`${(error as RangeError).message}: info is used`);
    return parseLevels("");
  }
}

function formatOf({ format }: LogsOptions, env: LogSetting["env"], fd: number, errors: string[]): Formatter {
  const terminal = isatty(fd);
  const text = env["LOG_FORMAT"]?.trim().toLowerCase() ?? "";
  let chosen: LogFormat = terminal ? "pretty" : "json";
  if (format !== undefined) {
    if (!logFormats.includes(format)) throw new RangeError(`logging: format must be one of ${logFormats.join(", ")}`);
    chosen = format;
  } else if ((logFormats as readonly string[]).includes(text)) {
    chosen = text as LogFormat;
  } else if (text !== "") {
    errors.push(`LOG_FORMAT is ${JSON.stringify(text)}, which is none of ${logFormats.join(", ")}: ${chosen} is used`);
  }
  return formatterOf(chosen, colourFrom(env, terminal));
}

function joined(sinks: readonly LogSink[]): LogSink | undefined {
  if (sinks.length < 2) return sinks[0];
  return {
    emit(record) {
      for (const sink of sinks) sink.emit(record);
    },
  };
}

function toStandardError(error: Error): void {
  process.stderr.write(`log: ${error.message}\n`);
}
