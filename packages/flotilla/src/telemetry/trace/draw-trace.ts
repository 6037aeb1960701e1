import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { AttributeList, SpanData, SpanEvent } from "../model.ts";
import { type TreeRow, treeRows } from "./span-tree.ts";
import { fit, formatMs, type Paint, paintFor, printable, widthOf } from "./terminal-text.ts";

/** Options of {@link drawTrace}. */
export interface DrawTraceOptions {
  /** Width of the terminal. Default 100, at least 48. */
  readonly columns?: number;
  /** Default false. */
  readonly colour?: boolean;
  /** Who made the spans: a name for all, or one for each. Default: not shown. */
  readonly service?: string | ((span: SpanData) => string);
  /** Spans that are drawn; of more, the first of the tree. Default 200. */
  readonly maxSpans?: number;
  /** Events that are drawn for each span. Default 5; 0 for none. */
  readonly maxEvents?: number;
}

const DURATION_COLUMNS = 8;
const MIN_COLUMNS = 48;
const MAX_NAME_SHARE = 0.45;
const MAX_SERVICE_SHARE = 0.125;

const KIND_MARKS: Readonly<Record<number, string>> = {
  [SpanKind.SERVER]: "\u25C0 ",
  [SpanKind.CLIENT]: "\u25B6 ",
  [SpanKind.PRODUCER]: "\u25B7 ",
  [SpanKind.CONSUMER]: "\u25C1 ",
};

/**
 * Draws the spans of one trace as a tree, a line each: name, service, a bar from start to end on the time axis of the whole, duration, and
 * what went wrong. Ends with a newline; empty for no spans. What names and messages contain cannot reach the terminal as control codes.
 */
export function drawTrace(spans: readonly SpanData[], options: DrawTraceOptions = {}): string {
  const first = spans[0];
  if (first === undefined) return "";
  const { columns = 100, colour = false, service, maxSpans = 200, maxEvents = 5 } = options;
  const paint = paintFor(colour);
  const rows = treeRows(spans);
  const shown = rows.slice(0, maxSpans);
  const serviceOf = typeof service === "function" ? service : () => service ?? "";
  const drawing = new Drawing(shown, serviceOf, Math.max(MIN_COLUMNS, columns), maxEvents, paint);
  const lines = [header(first.traceId, spans, drawing.totalMs, paint)];
  for (const row of shown) drawing.row(row, lines);
  if (shown.length < rows.length) lines.push(paint.dim(`\u2026 ${rows.length - shown.length} more spans`));
  return `${lines.join("\n")}\n`;
}

function header(traceId: string, spans: readonly SpanData[], totalMs: number, paint: Paint): string {
  const errors = spans.filter(failed).length;
  const count = `${spans.length} ${spans.length === 1 ? "span" : "spans"}`;
  const told = errors === 0 ? "" : `, ${paint.error(`${errors} ${errors === 1 ? "error" : "errors"}`)}`;
  return `${paint.bold("trace")} ${traceId}  ${formatMs(totalMs)}, ${count}${told}`;
}

/** The columns of one drawing, and its time axis. */
class Drawing {
  readonly totalMs: number;
  readonly #startMs: number;
  readonly #nameColumns: number;
  readonly #serviceColumns: number;
  readonly #barColumns: number;
  readonly #serviceOf: (span: SpanData) => string;
  readonly #columns: number;
  readonly #maxEvents: number;
  readonly #paint: Paint;

  constructor(
    rows: readonly TreeRow[],
    serviceOf: (span: SpanData) => string,
    columns: number,
    maxEvents: number,
    paint: Paint,
  ) {
    let startMs = Infinity;
    let endMs = -Infinity;
    let name = 0;
    let service = 0;
    for (const row of rows) {
      startMs = Math.min(startMs, row.span.startEpochMs);
      endMs = Math.max(endMs, row.span.startEpochMs + row.span.durationMs);
      name = Math.max(name, widthOf(row.prefix) + widthOf(label(row.span)));
      service = Math.max(service, widthOf(printable(serviceOf(row.span))));
    }
    this.#startMs = startMs;
    this.totalMs = endMs - startMs;
    this.#nameColumns = Math.min(name, Math.floor(columns * MAX_NAME_SHARE));
    this.#serviceColumns = Math.min(service, Math.floor(columns * MAX_SERVICE_SHARE));
    const gaps = this.#serviceColumns === 0 ? 2 : 4;
    this.#barColumns = Math.max(8, columns - this.#nameColumns - this.#serviceColumns - DURATION_COLUMNS - gaps);
    this.#serviceOf = serviceOf;
    this.#columns = columns;
    this.#maxEvents = maxEvents;
    this.#paint = paint;
  }

  row({ span, prefix, below }: TreeRow, lines: string[]): void {
    const paint = this.#paint;
    const wrong = failed(span);
    const prefixColumns = Math.min(widthOf(prefix), this.#nameColumns);
    const name = fit(label(span), this.#nameColumns - prefixColumns);
    const service =
      this.#serviceColumns === 0 ? "" : `  ${fit(printable(this.#serviceOf(span)), this.#serviceColumns)}`;
    const duration = formatMs(span.durationMs).padStart(DURATION_COLUMNS);
    lines.push(
      paint.dim(fit(prefix, prefixColumns)) +
        (wrong ? paint.error(name) : name) +
        paint.dim(service) +
        ` ${this.#bar(span, wrong)} ` +
        duration,
    );
    const told: string[] = [];
    if (wrong && span.statusMessage !== undefined)
      told.push(paint.error(this.#note(below, `\u2717 ${span.statusMessage}`)));
    else if (wrong) told.push(paint.error(this.#note(below, "\u2717 error")));
    for (const event of span.events.slice(0, this.#maxEvents)) told.push(this.#event(below, span, event));
    const more = span.events.length - this.#maxEvents;
    if (more > 0 && this.#maxEvents > 0) told.push(paint.dim(this.#note(below, `\u2026 ${more} more events`)));
    lines.push(...told);
  }

  #bar(span: SpanData, wrong: boolean): string {
    const from = this.#column(span.startEpochMs);
    const to = Math.max(from + 1, Math.min(this.#barColumns, Math.ceil(this.#at(span.startEpochMs + span.durationMs))));
    const bar = "\u2588".repeat(to - from);
    const painted = wrong ? this.#paint.error(bar) : this.#paint.bar(bar, span.kind);
    const rest = this.#paint.dim("\u00B7".repeat(this.#barColumns - to));
    return this.#paint.dim("\u00B7".repeat(from)) + painted + rest;
  }

  /** What happened, with its place on the time axis. */
  #event(below: string, span: SpanData, event: SpanEvent): string {
    const detail = textOf(event.attributes, "exception.message");
    const what = detail === undefined ? event.name : `${event.name}: ${detail}`;
    const after = formatMs(Math.max(0, event.epochMs - span.startEpochMs));
    const text = this.#note(below, `\u25C6 +${after} ${what}`);
    return this.#paint.dim(text);
  }

  #note(below: string, text: string): string {
    return fit(`${below}  ${printable(text)}`, this.#columns).trimEnd();
  }

  #at(epochMs: number): number {
    return this.totalMs > 0 ? ((epochMs - this.#startMs) / this.totalMs) * this.#barColumns : 0;
  }

  #column(epochMs: number): number {
    return Math.min(this.#barColumns - 1, Math.max(0, Math.floor(this.#at(epochMs))));
  }
}

function label(span: SpanData): string {
  return `${KIND_MARKS[span.kind] ?? ""}${printable(span.name)}`;
}

function failed(span: SpanData): boolean {
  return span.statusCode === SpanStatusCode.ERROR;
}

function textOf(attributes: AttributeList, name: string): string | undefined {
  const at = attributes.indexOf(name);
  const value = at < 0 ? undefined : attributes[at + 1];
  return typeof value === "string" ? value : undefined;
}
