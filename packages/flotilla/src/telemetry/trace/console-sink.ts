import type { Clock, Timer } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";
import type { Environment, SpanData } from "../model.ts";
import { drawTrace } from "./draw-trace.ts";
import type { FinishedSpan, SpanSink } from "./sink.ts";

/** What the drawings are written to: `process.stderr` fits. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Options of {@link consoleSink}. */
export interface ConsoleSinkOptions {
  /** Default `process.stderr`. */
  readonly terminal?: Terminal;
  /** Default: when the terminal is one, unless `NO_COLOR` is set; `FORCE_COLOR` turns them on everywhere. */
  readonly colour?: boolean;
  /** Where `NO_COLOR` and `FORCE_COLOR` are looked up. Default `process.env`. */
  readonly env?: Environment;
  /** Who made the spans: a name for all, or one for each. Default: not shown. */
  readonly service?: string | ((span: SpanData) => string);
  /**
   * How long after its local root a trace is drawn: services that share the process are then in one tree, and so is what ends a little
   * later. Milliseconds, default 50.
   */
  readonly settleMs?: number;
  /** Traces drawn a second, so that load does not drown the terminal; the others are counted. Default 20. */
  readonly maxPerSecond?: number;
  /** Traces in progress; the oldest gives way. Default 200. */
  readonly maxTraces?: number;
  /** Spans kept of one trace. Default 500. */
  readonly maxSpansPerTrace?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
}

/** The sink that {@link consoleSink} makes. */
export interface ConsoleSink extends SpanSink {
  /** Traces that were not drawn, and spans that are missing in drawings. Only ever grow. */
  readonly counts: { readonly skippedTraces: number; readonly droppedSpans: number };
}

/**
 * Draws every finished trace into the terminal. For development.
 *
 * @throws RangeError when an option is out of its range.
 */
export function consoleSink(options: ConsoleSinkOptions = {}): ConsoleSink {
  return new Console(options);
}

/** Whether to use colours: `NO_COLOR` (no-color.org) goes before `FORCE_COLOR`, and both before what the terminal is. */
export function wantsColour(terminal: Terminal, env: Environment): boolean {
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  const force = env["FORCE_COLOR"] ?? "";
  if (force !== "") return force !== "0" && force !== "false";
  return terminal.isTTY === true && env["TERM"] !== "dumb";
}

interface Gathered {
  readonly spans: SpanData[];
  /** When to draw it; Infinity until a local root has ended. */
  dueAt: number;
}

class Console implements ConsoleSink {
  readonly counts = { skippedTraces: 0, droppedSpans: 0 };
  readonly #options: ConsoleSinkOptions;
  readonly #terminal: Terminal;
  readonly #colour: boolean;
  readonly #settleMs: number;
  readonly #maxPerSecond: number;
  readonly #maxTraces: number;
  readonly #maxSpans: number;
  readonly #clock: Clock;
  /** By trace id, oldest first. */
  readonly #traces = new Map<string, Gathered>();
  #timer: Timer | undefined = undefined;
  #windowStart = -Infinity;
  #drawnInWindow = 0;
  #untold = 0;
  #closed = false;

  constructor(options: ConsoleSinkOptions) {
    const { terminal = process.stderr, env = process.env, clock = systemClock } = options;
    const { settleMs = 50, maxPerSecond = 20, maxTraces = 200, maxSpansPerTrace = 500 } = options;
    if (!(settleMs >= 0 && settleMs < Infinity))
      throw new RangeError(`consoleSink: settleMs must be 0 or more, got ${settleMs}`);
    for (const [name, value] of Object.entries({ maxPerSecond, maxTraces, maxSpansPerTrace })) {
      if (!(value >= 1)) throw new RangeError(`consoleSink: ${name} must be 1 or more, got ${value}`);
    }
    this.#options = options;
    this.#terminal = terminal;
    this.#colour = options.colour ?? wantsColour(terminal, env);
    this.#settleMs = settleMs;
    this.#maxPerSecond = maxPerSecond;
    this.#maxTraces = maxTraces;
    this.#maxSpans = maxSpansPerTrace;
    this.#clock = clock;
  }

  end(span: FinishedSpan): void {
    if (this.#closed) {
      this.counts.droppedSpans++;
      return;
    }
    const trace = this.#traces.get(span.traceId) ?? this.#begin(span.traceId);
    if (trace.spans.length < this.#maxSpans) trace.spans.push(span);
    else this.counts.droppedSpans++;
    if (span.localRoot !== span) return;
    trace.dueAt = this.#clock.now() + this.#settleMs;
    this.#wake(this.#settleMs);
  }

  /** Draws what is finished. */
  flush(): Promise<void> {
    this.#draw((trace) => trace.dueAt < Infinity);
    return Promise.resolve();
  }

  /** Draws all, what is unfinished included. */
  close(): Promise<void> {
    this.#draw(() => true);
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#closed = true;
    return Promise.resolve();
  }

  #begin(traceId: string): Gathered {
    if (this.#traces.size >= this.#maxTraces) {
      const [[oldestId, oldest]] = this.#traces as unknown as [[string, Gathered]];
      this.#traces.delete(oldestId);
      this.counts.droppedSpans += oldest.spans.length;
      this.#skip();
    }
    const trace: Gathered = { spans: [], dueAt: Infinity };
    this.#traces.set(traceId, trace);
    return trace;
  }

  #wake(delayMs: number): void {
    if (this.#timer !== undefined) return;
    this.#timer = this.#clock.schedule(delayMs, () => {
      this.#timer = undefined;
      const now = this.#clock.now();
      this.#draw((trace) => trace.dueAt <= now);
      let next = Infinity;
      for (const { dueAt } of this.#traces.values()) next = Math.min(next, dueAt);
      if (next < Infinity) this.#wake(next - now);
    });
    this.#timer.unref();
  }

  #draw(isDue: (trace: Gathered) => boolean): void {
    let text = "";
    for (const [traceId, trace] of this.#traces) {
      if (!isDue(trace)) continue;
      this.#traces.delete(traceId);
      if (this.#mayDraw()) {
        text += this.#told();
        text += `${drawTrace(trace.spans, this.#look())}\n`;
      } else this.#skip();
    }
    if (text !== "") this.#write(text);
  }

  #write(text: string): void {
    try {
      this.#terminal.write(text);
    } catch {
      // The terminal has gone. What is drawn for people to read must not fail a request.
      this.counts.skippedTraces++;
    }
  }

  #look(): Parameters<typeof drawTrace>[1] {
    const { columns = 100 } = this.#terminal;
    const { service } = this.#options;
    return { columns, colour: this.#colour, ...(service !== undefined && { service }) };
  }

  #mayDraw(): boolean {
    const now = this.#clock.now();
    if (now - this.#windowStart >= 1_000) {
      this.#windowStart = now;
      this.#drawnInWindow = 0;
    }
    return ++this.#drawnInWindow <= this.#maxPerSecond;
  }

  #skip(): void {
    this.counts.skippedTraces++;
    this.#untold++;
  }

  #told(): string {
    const untold = this.#untold;
    this.#untold = 0;
    return untold === 0 ? "" : `(${untold} ${untold === 1 ? "trace was" : "traces were"} not drawn)\n\n`;
  }
}
