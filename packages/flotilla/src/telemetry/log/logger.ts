import { systemClock } from "../../clock/system-clock.ts";
import type { Context } from "../../context/context.ts";
import { type ContextKey, contextKey } from "../../context/key.ts";
import { withValue } from "../../context/with.ts";
import { serverCall } from "../../metadata/call.ts";
import { currentTrace } from "../../metadata/trace.ts";
import { ServerObservation } from "../calls/server-observer.ts";
import { CallLine } from "./call-line.ts";
import type { SafeFields } from "./contain.ts";
import type { Component } from "./level-table.ts";
import { type Level, levelNumbers } from "./levels.ts";
import { Logging, type Said } from "./logging.ts";

/**
 * Writes lines. Each method takes a message, or fields and a message, or what was thrown and a message:
 *
 * ```ts
 * log(ctx).info("booked");
 * log(ctx).info({ cargo: id }, "booked");
 * log(ctx).error(error, "could not book");
 * ```
 *
 * Values may be anything: they are copied, cut where they are too large, redacted, and never cause an exception.
 */
export interface Logger {
  trace(message: string): void;
  trace(fields: unknown, message?: string): void;
  debug(message: string): void;
  debug(fields: unknown, message?: string): void;
  info(message: string): void;
  info(fields: unknown, message?: string): void;
  warn(message: string): void;
  warn(fields: unknown, message?: string): void;
  error(message: string): void;
  error(fields: unknown, message?: string): void;
  fatal(message: string): void;
  fatal(fields: unknown, message?: string): void;
  /** Whether a line of this level would be written at once; work that only a line needs can be saved. */
  isEnabled(level: Level): boolean;
  /** A logger whose lines have these fields too. */
  child(fields: object): Logger;
}

/** What a context's lines are made with. */
interface Bound {
  readonly logging: Logging;
  readonly fields: SafeFields | undefined;
}

const boundKey: ContextKey<Bound | undefined> = contextKey<Bound>("flotilla.log");

/** A logger for one context. It looks the trace up only when a line is written. */
class ContextLogger implements Logger {
  readonly #logging: Logging;
  readonly #component: Component;
  readonly #ctx: Context | undefined;
  readonly #call: CallLine | undefined;
  readonly #fields: SafeFields | undefined;

  constructor(
    logging: Logging,
    component: Component,
    ctx: Context | undefined,
    call: CallLine | undefined,
    fields: SafeFields | undefined,
  ) {
    this.#logging = logging;
    this.#component = component;
    this.#ctx = ctx;
    this.#call = call;
    this.#fields = fields;
  }

  trace(first: unknown, message?: string): void {
    if (levelNumbers.trace >= this.#component.threshold) this.#write("trace", first, message);
    else if (this.#call !== undefined) this.#hold("trace", first, message);
  }

  debug(first: unknown, message?: string): void {
    if (levelNumbers.debug >= this.#component.threshold) this.#write("debug", first, message);
    else if (this.#call !== undefined) this.#hold("debug", first, message);
  }

  info(first: unknown, message?: string): void {
    if (levelNumbers.info >= this.#component.threshold) this.#write("info", first, message);
    else if (this.#call !== undefined) this.#hold("info", first, message);
  }

  warn(first: unknown, message?: string): void {
    if (levelNumbers.warn >= this.#component.threshold) this.#write("warn", first, message);
    else if (this.#call !== undefined) this.#hold("warn", first, message);
  }

  error(first: unknown, message?: string): void {
    if (levelNumbers.error >= this.#component.threshold) this.#write("error", first, message);
    else if (this.#call !== undefined) this.#hold("error", first, message);
  }

  fatal(first: unknown, message?: string): void {
    if (levelNumbers.fatal >= this.#component.threshold) this.#write("fatal", first, message);
  }

  isEnabled(level: Level): boolean {
    return levelNumbers[level] >= this.#component.threshold;
  }

  child(fields: object): Logger {
    const merged = this.#logging.fields(this.#fields, fields);
    return new ContextLogger(this.#logging, this.#component, this.#ctx, this.#call, merged);
  }

  #write(level: Level, first: unknown, message: string | undefined): void {
    this.#logging.line(this.#said(level, first, message));
  }

  #hold(level: Level, first: unknown, message: string | undefined): void {
    const held = this.#call!.held(level, this.#component);
    if (held === undefined) return;
    held.add(this.#logging.heldLine(this.#said(level, first, message)));
  }

  #said(level: Level, first: unknown, message: string | undefined): Said {
    const trace = this.#ctx === undefined ? undefined : currentTrace(this.#ctx);
    return { component: this.#component, level, trace, bound: this.#fields, first, message };
  }
}

/**
 * The logger of a context: its lines carry `trace_id` and `span_id`, and the fields of {@link withLogFields}. Under a served call, lines below
 * the threshold are kept, and written when the call fails or is slow.
 *
 * Where no telemetry is set up, lines go to standard output as `LOG_LEVEL` and `LOG_FORMAT` say.
 *
 * @param component - the part of the program that logs, for thresholds of its own: `db.pool`. Default none.
 * @throws RangeError when `component` has other characters than letters, digits and `_ . / : @ -`, or more than 100.
 */
export function log(ctx: Context, component?: string): Logger {
  const bound = ctx.value(boundKey);
  const call = callLineOf(ctx);
  const logging = bound?.logging ?? call?.logging ?? standard();
  const of = component === undefined ? logging.table.root : logging.table.of(component);
  return new ContextLogger(logging, of, ctx, call, bound?.fields);
}

/**
 * A child whose lines have these fields too.
 *
 * @param fields - copied now.
 */
export function withLogFields(ctx: Context, fields: object): Context {
  const bound = ctx.value(boundKey);
  const logging = bound?.logging ?? callLineOf(ctx)?.logging ?? standard();
  return withValue(ctx, boundKey, { logging, fields: logging.fields(bound?.fields, fields) });
}

/**
 * Adds fields to the one line that is written when the served call ends: `annotate(ctx, { cargo: id })`. A field of the line's own name (`code`,
 * `duration_ms`) becomes `app.code`; `principal` is meant to be set. Does nothing outside of a served call.
 */
export function annotate(ctx: Context, fields: object): void {
  callLineOf(ctx)?.annotate(fields);
}

/** For hosts: what is logged below this context goes there. */
export function withLogging(ctx: Context, logging: Logging): Context {
  return withValue(ctx, boundKey, { logging, fields: undefined });
}

/** A logger for lines of no context: those of a `main`. */
export function loggerOf(logging: Logging, component?: string): Logger {
  const of = component === undefined ? logging.table.root : logging.table.of(component);
  return new ContextLogger(logging, of, undefined, undefined, undefined);
}

let standing: Logging | undefined;

/** Made when the first line of a program without telemetry is logged. */
function standard(): Logging {
  standing ??= new Logging({}, { env: process.env, clock: systemClock, service: undefined });
  return standing;
}

function callLineOf(ctx: Context): CallLine | undefined {
  const observation = serverCall(ctx)?.observation;
  if (!(observation instanceof ServerObservation)) return undefined;
  const { logged } = observation;
  return logged instanceof CallLine ? logged : undefined;
}
