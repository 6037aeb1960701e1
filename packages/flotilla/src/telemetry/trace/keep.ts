import { SpanStatusCode } from "@opentelemetry/api";
import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";
import type { SpanData } from "../model.ts";
import { checkShare, shareBound, traceHash } from "./sampler.ts";
import type { FinishedSpan, LocalTrace, SpanSink } from "./sink.ts";

/** Options of {@link keep}. */
export interface KeepOptions {
  /** Keeps traces with a span of status error. Default true. */
  readonly errors?: boolean;
  /** Keeps traces with a span of at least so many milliseconds. Default: none for being slow. */
  readonly slowMs?: number;
  /**
   * Keeps this share of all traces, 0 to 1, chosen by trace id as the sampler `ratio` does: services with the same share keep the same
   * traces. Default 0.
   */
  readonly ratio?: number;
  /** Traces that may be undecided at a time; the oldest gives way. Default 1000. */
  readonly maxTraces?: number;
  /** Spans that one trace may hold back. More are dropped. Default 500. */
  readonly maxSpansPerTrace?: number;
  /** A trace that is undecided for longer gives way to the next. Milliseconds, default 60000. */
  readonly maxAgeMs?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
}

/** The sink that {@link keep} makes. */
export interface KeepSink extends SpanSink {
  /** Spans that went on, those that the rule dropped, and those that found no room while they waited. Only ever grow. */
  readonly counts: { readonly kept: number; readonly dropped: number; readonly overflowed: number };
}

/**
 * A tail rule within the process: the spans of a trace wait until its local root has ended, then all go on or none does. Errors and
 * slowness are thereby known before anything is exported. A span that decides for keeping lets all before it go at once, and those after
 * it through.
 *
 * The rule sees what the head sampler has let through: sample all, or a share that is larger than `ratio`. Each process decides for its
 * own part of a trace; only the share of `ratio` is whole across processes. Use one such sink in a chain.
 *
 * @throws RangeError when an option is out of its range.
 */
export function keep(next: SpanSink, options: KeepOptions = {}): KeepSink {
  return new Keep(next, options);
}

class Keep implements KeepSink {
  readonly counts = { kept: 0, dropped: 0, overflowed: 0 };
  readonly #next: SpanSink;
  readonly #errors: boolean;
  readonly #slowMs: number;
  readonly #bound: number;
  readonly #maxTraces: number;
  readonly #maxSpans: number;
  readonly #maxAgeMs: number;
  readonly #clock: Clock;
  /** The traces that hold spans back, oldest first, each with the time of its first. */
  readonly #open = new Map<LocalTrace, number>();
  #closed = false;

  constructor(next: SpanSink, options: KeepOptions) {
    const { errors = true, slowMs = Infinity, ratio = 0 } = options;
    const { maxTraces = 1_000, maxSpansPerTrace = 500, maxAgeMs = 60_000, clock = systemClock } = options;
    if (!(slowMs >= 0)) throw new RangeError(`keep: slowMs must be 0 or more, got ${slowMs}`);
    checkShare("keep: ratio", ratio);
    for (const [name, value] of Object.entries({ maxTraces, maxSpansPerTrace, maxAgeMs })) {
      if (!(value >= 1)) throw new RangeError(`keep: ${name} must be 1 or more, got ${value}`);
    }
    this.#next = next;
    this.#errors = errors;
    this.#slowMs = slowMs;
    this.#bound = shareBound(ratio);
    this.#maxTraces = maxTraces;
    this.#maxSpans = maxSpansPerTrace;
    this.#maxAgeMs = maxAgeMs;
    this.#clock = clock;
  }

  end(span: FinishedSpan): void {
    const root = span.localRoot;
    if (this.#closed) this.counts.dropped++;
    else if (root.verdict === "kept") this.#pass(span);
    else if (root.verdict === "dropped") this.counts.dropped++;
    else if (this.#wants(span, root)) this.#keep(span, root);
    else if (span === root) this.#drop(root);
    else this.#hold(span, root);
  }

  flush(): Promise<void> {
    return this.#next.flush();
  }

  /** What is undecided goes on: the process ends in the middle of it, which is worth seeing. */
  async close(timeoutMs?: number): Promise<void> {
    for (const root of this.#open.keys()) this.#release(root);
    this.#open.clear();
    this.#closed = true;
    await this.#next.close(timeoutMs);
  }

  #wants(span: SpanData, root: LocalTrace): boolean {
    if (span.durationMs >= this.#slowMs || (this.#errors && span.statusCode === SpanStatusCode.ERROR)) return true;
    // For a trace that holds spans the answer was no.
    return this.#bound > 0 && root.held === undefined && traceHash(span.traceId) < this.#bound;
  }

  #keep(span: FinishedSpan, root: LocalTrace): void {
    root.verdict = "kept";
    this.#open.delete(root);
    this.#release(root);
    this.#pass(span);
  }

  #drop(root: LocalTrace): void {
    root.verdict = "dropped";
    this.counts.dropped++;
    const { held } = root;
    if (held === undefined) return;
    this.counts.dropped += held.length;
    root.held = undefined;
    this.#open.delete(root);
  }

  #hold(span: FinishedSpan, root: LocalTrace): void {
    const { held } = root;
    if (held === undefined) {
      this.#makeRoom();
      root.held = [span];
      this.#open.set(root, this.#clock.now());
    } else if (held.length < this.#maxSpans) held.push(span);
    else this.counts.overflowed++;
  }

  /** Drops what has waited too long, and the oldest when there is no room. */
  #makeRoom(): void {
    if (this.#open.size === 0) return;
    const limit = this.#clock.now() - this.#maxAgeMs;
    for (const [root, since] of this.#open) {
      if (since > limit && this.#open.size < this.#maxTraces) return;
      this.counts.overflowed += root.held?.length ?? 0;
      root.held = undefined;
      this.#open.delete(root);
    }
  }

  #release(root: LocalTrace): void {
    const { held } = root;
    if (held === undefined) return;
    root.held = undefined;
    for (const span of held) this.#pass(span);
  }

  #pass(span: FinishedSpan): void {
    this.counts.kept++;
    this.#next.end(span);
  }
}
