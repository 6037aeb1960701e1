import type { Context } from "../../context/context.ts";
import type { FinishedCall } from "../../endpoint/finished-call.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import { codes } from "../../errors/code.ts";
import { refusalReason } from "../../errors/details.ts";
import type { ServerCall } from "../../metadata/call.ts";
import { incomingTrace } from "../../metadata/trace.ts";
import type { CallLog, LoggedCall, MethodLog } from "../calls/ports.ts";
import { isServersFault, nameOf } from "../calls/rpc-attributes.ts";
import type { ActiveSpan } from "../trace/active-span.ts";
import { Container, type SafeFields, safeFields } from "./contain.ts";
import { HeldLines } from "./held-lines.ts";
import type { Component } from "./level-table.ts";
import { type Level, levelNumbers } from "./levels.ts";
import type { Logging } from "./logging.ts";
import type { CallLineOptions } from "./options.ts";
import { millis, quoted } from "./text.ts";

/** The component of the lines a call: `LOG_LEVEL=info,calls=warn` leaves those of failed and slow calls. */
export const CALLS = "calls";

/** Names that the line of a call has itself. */
const ownNames: ReadonlySet<string> = new Set(
  "level,time,msg,component,trace_id,span_id,method,protocol,code,duration_ms,deadline_left_ms,peer,attempts,status,request_bytes,response_bytes,error".split(
    ",",
  ),
);

/** Characters that handlers may add to the line of one call. */
const ADDED_CHARS = 16_384;
/** Characters of an error's message. */
const ERROR_CHARS = 1000;

/** By code, as it stands in a line. */
const CODES = new Map<string, string>(
  ["ok", ...Object.keys(codes)].map((code) => [code, `,"code":"${code}","duration_ms":`]),
);

/**
 * The line a call: one for every call that is served, made of parts that are prepared once a method.
 *
 * @throws RangeError when an option is not legal, naming it.
 */
export function callLog(logging: Logging, { slowMs = 1000 }: CallLineOptions): CallLog {
  if (!(slowMs > 0)) throw new RangeError(`logging: calls.slowMs must be more than 0 milliseconds, got ${slowMs}`);
  const shared: Shared = { logging, component: logging.table.of(CALLS), slowMs };
  return { method: (method) => new MethodLine(method, shared) };
}

interface Shared {
  readonly logging: Logging;
  readonly component: Component;
  readonly slowMs: number;
}

class MethodLine implements MethodLog {
  readonly shared: Shared;
  readonly #name: string;
  readonly #heads = new Map<string, string>();

  constructor(method: MethodInfo | undefined, shared: Shared) {
    this.shared = shared;
    this.#name = quoted(nameOf(method));
  }

  begin(call: ServerCall | undefined, _ctx: Context, span: ActiveSpan | undefined, startedMs: number): CallLine {
    return new CallLine(this, call, span, startedMs);
  }

  /** What stands between the time and the code. */
  head(protocol: string): string {
    let head = this.#heads.get(protocol);
    if (head === undefined) {
      const { baseJson } = this.shared.logging;
      head = `${baseJson},"component":"${CALLS}","msg":"served","method":${this.#name},"protocol":${quoted(protocol)}`;
      this.#heads.set(protocol, head);
    }
    return head;
  }
}

/** What one call has to log. */
export class CallLine implements LoggedCall {
  readonly #line: MethodLine;
  readonly #call: ServerCall | undefined;
  readonly #span: ActiveSpan | undefined;
  readonly #startedMs: number;
  #added: SafeFields | undefined;
  #left = ADDED_CHARS;
  #held: HeldLines | undefined;
  #over = false;

  constructor(line: MethodLine, call: ServerCall | undefined, span: ActiveSpan | undefined, startedMs: number) {
    this.#line = line;
    this.#call = call;
    this.#span = span;
    this.#startedMs = startedMs;
  }

  get logging(): Logging {
    return this.#line.shared.logging;
  }

  /** Adds fields to the line. Without effect once it is written. */
  annotate(fields: object): void {
    if (this.#over) return;
    const container = new Container(this.logging.rules, this.#left);
    container.addFields((this.#added ??= safeFields()), fields, ownNames);
    this.#left = Math.max(0, container.left);
  }

  /** Where a line below its component's threshold is kept; undefined when it is not. */
  held(level: Level, component: Component): HeldLines | undefined {
    const { budget, heldFrom } = this.logging;
    if (budget === undefined || this.#over || component.silent || levelNumbers[level] < heldFrom) return undefined;
    return (this.#held ??= new HeldLines(budget));
  }

  end(call: FinishedCall, attempts: number): void {
    if (this.#over) return;
    this.#over = true;
    const { logging, component, slowMs } = this.#line.shared;
    const faulty = isServersFault(call.code);
    // The policy tells when it begins to refuse, and counts: thousands of lines a second would cost more than the refusals.
    const refused = faulty ? refusalReason(call.error) : undefined;
    const failed = faulty && refused === undefined;
    const slow = call.durationMs >= slowMs;
    if (this.#held !== undefined) {
      if (failed || slow) logging.release(this.#held);
      else this.#held.take();
    }
    const level = failed ? levelNumbers.error : faulty || slow ? levelNumbers.warn : levelNumbers.info;
    if (level < component.threshold) return;
    if (refused !== undefined && !logging.admits(level, `served: ${refused}`)) return;
    logging.output.traceFlags = this.#span?.traceFlags ?? 0;
    logging.output.write(this.#text(call, attempts, level));
  }

  #text(
    { code, status, durationMs, requestBytes, responseBytes, protocol, error }: FinishedCall,
    attempts: number,
    level: number,
  ): string {
    const call = this.#call;
    let line = `{"level":${level},"time":${this.logging.textAt(this.#startedMs + durationMs)}${this.#line.head(protocol)}${CODES.get(code)}${millis(durationMs)}`;
    const span = this.#span;
    if (span !== undefined) line += `,"trace_id":"${span.traceId}","span_id":"${span.spanId}"`;
    else if (call?.traceparent !== undefined) line += traceOf(call);
    if (status !== 0) line += `,"status":${status}`;
    line += `,"request_bytes":${requestBytes},"response_bytes":${responseBytes}`;
    if (call !== undefined) {
      line += `,"peer":${quoted(call.peer)}`;
      const { deadline } = call;
      if (deadline !== undefined) line += `,"deadline_left_ms":${millis(deadline - this.#startedMs - durationMs)}`;
    }
    if (attempts > 0) line += `,"attempts":${attempts}`;
    if (error !== undefined) line += `,"error":${quoted(error.message.slice(0, ERROR_CHARS))}`;
    if (this.#added !== undefined) {
      const added = JSON.stringify(this.#added);
      if (added.length > 2) line += `,${added.slice(1, -1)}`;
    }
    return `${line}}\n`;
  }
}

/** Without tracing of our own, the caller's place in the trace is better than none. */
function traceOf(call: ServerCall): string {
  const trace = incomingTrace(call);
  if (trace === undefined) return "";
  return `,"trace_id":"${trace.traceparent.slice(3, 35)}","span_id":"${trace.traceparent.slice(36, 52)}"`;
}
