import {
  type Context,
  context,
  createContextKey,
  INVALID_SPAN_CONTEXT,
  isSpanContextValid,
  type Span,
  type SpanOptions,
  type TimeInput,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { isTraceparent, traceparentFlags } from "../../metadata/trace.ts";
import type { TraceHeaders } from "../../metadata/trace-headers.ts";
import type { AttributeList, Scope } from "../model.ts";
import { type ActiveSpan, isActiveSpan, RANDOM, SAMPLED } from "./active-span.ts";
import { cleanValue } from "./attributes.ts";
import type { IdSource } from "./ids.ts";
import type { SpanLimits } from "./limits.ts";
import type { Sampler } from "./sampler.ts";
import type { SpanSink } from "./sink.ts";
import { LeanSpan, type SpanMaker } from "./span.ts";
import { readTime, type Timeline } from "./time.ts";
import { validTracestate } from "./trace-headers.ts";
import { UnsampledSpan } from "./unsampled-span.ts";

const NO_PRESET: AttributeList = [];

// The key under which the official SDK's `suppressTracing` marks a context, such as that of an exporter's own requests.
const SUPPRESSED = createContextKey("OpenTelemetry SDK Context Key SUPPRESS_TRACING");

/** What the tracers of one provider share. */
export interface TracerShared {
  readonly timeline: Timeline;
  readonly limits: Readonly<SpanLimits>;
  readonly sink: SpanSink;
  readonly ids: IdSource;
  readonly sampler: Sampler;
  readonly counts: { recorded: number; unsampled: number };
}

/** A tracer of the built-in provider: the OpenTelemetry API's, with a way for observers that needs no options and no context. */
export class LeanTracer implements Tracer, SpanMaker {
  readonly scope: Scope;
  readonly timeline: Timeline;
  readonly limits: Readonly<SpanLimits>;
  readonly sink: SpanSink;
  readonly #ids: IdSource;
  readonly #sampler: Sampler;
  readonly #counts: TracerShared["counts"];

  constructor(scope: Scope, shared: TracerShared) {
    this.scope = scope;
    this.timeline = shared.timeline;
    this.limits = shared.limits;
    this.sink = shared.sink;
    this.#ids = shared.ids;
    this.#sampler = shared.sampler;
    this.#counts = shared.counts;
  }

  start(
    name: string,
    kind: number,
    parent: TraceHeaders | undefined,
    preset: AttributeList,
    startedMs?: number,
  ): LeanSpan | UnsampledSpan {
    if (parent === undefined) return this.#root(name, kind, preset, startedMs);
    if (!isActiveSpan(parent)) {
      return this.startRemote(name, kind, parent.traceparent, parent.tracestate, preset, startedMs);
    }
    const { traceId, spanId, traceFlags, tracestate } = parent;
    return this.#child(traceId, spanId, traceFlags, tracestate, false, parent, name, kind, preset, startedMs);
  }

  startRemote(
    name: string,
    kind: number,
    traceparent: string | undefined,
    tracestate: string | undefined,
    preset: AttributeList,
    startedMs?: number,
  ): LeanSpan | UnsampledSpan {
    if (traceparent === undefined || !isTraceparent(traceparent)) return this.#root(name, kind, preset, startedMs);
    return this.#child(
      traceparent.slice(3, 35),
      traceparent.slice(36, 52),
      traceparentFlags(traceparent),
      validTracestate(tracestate),
      true,
      undefined,
      name,
      kind,
      preset,
      startedMs,
    );
  }

  startSpan(name: string, given: SpanOptions = {}, parent: Context = context.active()): Span {
    // Untyped callers pass null.
    const options = (given as SpanOptions | null) ?? {};
    let span: LeanSpan | UnsampledSpan;
    if (parent.getValue(SUPPRESSED) === true) return trace.wrapSpanContext(INVALID_SPAN_CONTEXT);
    const above = options.root === true ? undefined : trace.getSpan(parent);
    const startedMs = options.startTime === undefined ? undefined : this.#startedMs(options.startTime, above);
    const kind = options.kind ?? 0;
    const text = typeof name === "string" ? (cleanValue(name, this.limits.valueLength) as string) : "unnamed";
    if (above === undefined) span = this.#root(text, kind, NO_PRESET, startedMs);
    else if (isActive(above)) span = this.start(text, kind, above, NO_PRESET, startedMs);
    else span = this.#foreignChild(above, text, kind, startedMs);
    if (span instanceof UnsampledSpan) return span;
    if (options.attributes !== undefined) span.setAttributes(options.attributes);
    if (options.links !== undefined) span.addLinks(options.links);
    return span;
  }

  startActiveSpan<F extends (span: Span) => unknown>(name: string, fn: F): ReturnType<F>;
  startActiveSpan<F extends (span: Span) => unknown>(name: string, options: SpanOptions, fn: F): ReturnType<F>;
  startActiveSpan<F extends (span: Span) => unknown>(
    name: string,
    options: SpanOptions,
    parent: Context,
    fn: F,
  ): ReturnType<F>;
  startActiveSpan<F extends (span: Span) => unknown>(
    name: string,
    optionsOrFn: SpanOptions | F,
    parentOrFn?: Context | F,
    last?: F,
  ): ReturnType<F> | undefined {
    const fn = last ?? parentOrFn ?? optionsOrFn;
    if (typeof fn !== "function") return undefined;
    const options = typeof optionsOrFn === "function" ? {} : optionsOrFn;
    const parent = parentOrFn === undefined || typeof parentOrFn === "function" ? context.active() : parentOrFn;
    const span = this.startSpan(name, options, parent);
    return context.with<[Span], (span: Span) => unknown>(
      trace.setSpan(parent, span),
      fn,
      undefined,
      span,
    ) as ReturnType<F>;
  }

  /** A given start, on the clock. */
  #startedMs(startTime: TimeInput, above: Span | undefined): number | undefined {
    const { clock } = this.timeline;
    const anchor = above instanceof LeanSpan ? above.anchor : this.timeline.anchorAt(clock.now());
    const epochMs = readTime(startTime, clock, anchor);
    return epochMs === undefined ? undefined : epochMs - anchor.epochMinusNow;
  }

  #root(name: string, kind: number, preset: AttributeList, startedMs: number | undefined): LeanSpan | UnsampledSpan {
    const traceId = this.#ids.traceId();
    const spanId = this.#ids.spanId();
    if (!this.#sampler.sample(traceId, -1, false, name, kind)) {
      this.#counts.unsampled++;
      return new UnsampledSpan(this, traceId, spanId, RANDOM, undefined);
    }
    this.#counts.recorded++;
    return new LeanSpan(
      this,
      traceId,
      spanId,
      SAMPLED | RANDOM,
      undefined,
      undefined,
      false,
      undefined,
      name,
      kind,
      preset,
      startedMs,
    );
  }

  #child(
    traceId: string,
    parentSpanId: string,
    parentFlags: number,
    tracestate: string | undefined,
    isRemote: boolean,
    parent: ActiveSpan | undefined,
    name: string,
    kind: number,
    preset: AttributeList,
    startedMs: number | undefined,
  ): LeanSpan | UnsampledSpan {
    const spanId = this.#ids.spanId();
    const random = parentFlags & RANDOM;
    if (!this.#sampler.sample(traceId, parentFlags, isRemote, name, kind)) {
      this.#counts.unsampled++;
      return new UnsampledSpan(this, traceId, spanId, random, tracestate);
    }
    this.#counts.recorded++;
    return new LeanSpan(
      this,
      traceId,
      spanId,
      SAMPLED | random,
      tracestate,
      parentSpanId,
      isRemote,
      parent instanceof LeanSpan ? parent : undefined,
      name,
      kind,
      preset,
      startedMs,
    );
  }

  #foreignChild(above: Span, name: string, kind: number, startedMs: number | undefined): LeanSpan | UnsampledSpan {
    const parent = above.spanContext();
    if (!isSpanContextValid(parent)) return this.#root(name, kind, NO_PRESET, startedMs);
    const { traceId, spanId, traceFlags, traceState, isRemote = false } = parent;
    const tracestate = validTracestate(traceState?.serialize());
    return this.#child(traceId, spanId, traceFlags, tracestate, isRemote, undefined, name, kind, NO_PRESET, startedMs);
  }
}

function isActive(span: Span): span is ActiveSpan {
  return isActiveSpan(span as Partial<TraceHeaders> as TraceHeaders);
}
