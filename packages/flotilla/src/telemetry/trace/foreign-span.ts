import {
  type AttributeValue,
  type Exception,
  isSpanContextValid,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanStatus,
  type TimeInput,
  type Tracer,
  type TracerProvider,
  trace,
} from "@opentelemetry/api";
import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";
import { incomingTrace, traceparentFlags } from "../../metadata/trace.ts";
import type { TraceHeaders } from "../../metadata/trace-headers.ts";
import type { AttributeList } from "../model.ts";
import { type ActiveSpan, isActiveSpan, type SpanStarter } from "./active-span.ts";
import { spanContextOf } from "./span.ts";
import { Timeline } from "./time.ts";
import { formatTraceparent } from "./trace-headers.ts";
import { LeanTracer } from "./tracer.ts";

const KINDS = [SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER];

/**
 * What observers make spans with, whatever the provider: the built-in one's own tracer, or the tracer of another provider, such as the
 * official SDK's, behind an adapter.
 *
 * @param clock - what the times given to the adapter are on. Default: the system's.
 */
export function spanStarter(
  provider: TracerProvider,
  name: string,
  version?: string,
  clock: Clock = systemClock,
): SpanStarter {
  const tracer = provider.getTracer(name, version);
  return tracer instanceof LeanTracer ? tracer : new ForeignStarter(tracer, new Timeline(clock));
}

/** A span of any provider as it rides in a `Context`. */
export function asActiveSpan(span: Span, starter: SpanStarter | undefined): ActiveSpan {
  const own = span as Partial<ActiveSpan> & Span;
  if (own.apiSpan !== undefined) return own as ActiveSpan;
  return new ForeignSpan(span, starter ?? NO_STARTER, undefined);
}

/** The span context of a position in a trace that came over the wire; undefined when it is malformed. */
export function remoteSpanContext(position: TraceHeaders): SpanContext | undefined {
  const trace = incomingTrace(position);
  if (trace === undefined) return undefined;
  const { traceparent, tracestate } = trace;
  const flags = traceparentFlags(traceparent);
  return spanContextOf(traceparent.slice(3, 35), traceparent.slice(36, 52), flags, tracestate, true);
}

class ForeignStarter implements SpanStarter {
  readonly #tracer: Tracer;
  readonly timeline: Timeline;

  constructor(tracer: Tracer, timeline: Timeline) {
    this.#tracer = tracer;
    this.timeline = timeline;
  }

  start(
    name: string,
    kind: number,
    parent: TraceHeaders | undefined,
    preset: AttributeList,
    startedMs: number = this.timeline.clock.now(),
  ): ActiveSpan {
    let context = ROOT_CONTEXT;
    if (isActiveSpan(parent)) context = trace.setSpan(context, parent.apiSpan);
    else if (parent !== undefined) {
      const remote = remoteSpanContext(parent);
      if (remote !== undefined) context = trace.setSpanContext(context, remote);
    }
    const attributes: Record<string, AttributeValue> = {};
    for (let i = 0; i < preset.length; i += 2) attributes[preset[i] as string] = preset[i + 1];
    const startTime = startedMs + this.timeline.anchorAt(startedMs).epochMinusNow;
    return new ForeignSpan(
      this.#tracer.startSpan(name, { kind: KINDS[kind] ?? SpanKind.INTERNAL, attributes, startTime }, context),
      this,
      this.timeline,
    );
  }

  startRemote(
    name: string,
    kind: number,
    traceparent: string | undefined,
    tracestate: string | undefined,
    preset: AttributeList,
    startedMs?: number,
  ): ActiveSpan {
    const parent = traceparent === undefined ? undefined : { traceparent, tracestate };
    return this.start(name, kind, parent, preset, startedMs);
  }
}

/** A span that another provider made. */
class ForeignSpan implements ActiveSpan {
  readonly apiSpan: Span;
  readonly starter: SpanStarter;
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
  readonly tracestate: string | undefined;
  readonly #timeline: Timeline | undefined;

  constructor(span: Span, starter: SpanStarter, timeline: Timeline | undefined) {
    const { traceId, spanId, traceFlags, traceState } = span.spanContext();
    this.apiSpan = span;
    this.starter = starter;
    this.traceId = traceId;
    this.spanId = spanId;
    this.traceFlags = traceFlags;
    const header = traceState?.serialize();
    this.tracestate = header === "" ? undefined : header;
    this.#timeline = timeline;
  }

  get traceparent(): string {
    return formatTraceparent(this.traceId, this.spanId, this.traceFlags);
  }

  spanContext(): SpanContext {
    return this.apiSpan.spanContext();
  }

  isRecording(): boolean {
    return this.apiSpan.isRecording();
  }

  setAttribute(name: string, value: AttributeValue): this {
    this.apiSpan.setAttribute(name, value);
    return this;
  }

  setAttributes(attributes: Record<string, AttributeValue>): this {
    this.apiSpan.setAttributes(attributes);
    return this;
  }

  addEvent(name: string, attributesOrTime?: Record<string, AttributeValue> | TimeInput, time?: TimeInput): this {
    this.apiSpan.addEvent(name, attributesOrTime, time);
    return this;
  }

  addLink(link: Link): this {
    this.apiSpan.addLink(link);
    return this;
  }

  addLinks(links: Link[]): this {
    this.apiSpan.addLinks(links);
    return this;
  }

  setStatus(status: SpanStatus): this {
    this.apiSpan.setStatus(status);
    return this;
  }

  updateName(name: string): this {
    this.apiSpan.updateName(name);
    return this;
  }

  recordException(exception: Exception, time?: TimeInput): void {
    this.apiSpan.recordException(exception, time);
  }

  end(endTime?: TimeInput): void {
    if (endTime === undefined) this.finish();
    else this.apiSpan.end(endTime);
  }

  finish(endedMs?: number): void {
    const timeline = this.#timeline;
    if (timeline === undefined) {
      this.apiSpan.end();
      return;
    }
    // Always given: the official SDK reads the coarse wall clock when the start was given and the end is not.
    const at = endedMs ?? timeline.clock.now();
    this.apiSpan.end(at + timeline.anchorAt(at).epochMinusNow);
  }
}

const noop = trace.wrapSpanContext({ traceId: "0".repeat(32), spanId: "0".repeat(16), traceFlags: 0 });

/** For spans whose provider nobody has told: children are not recorded, and go on as the parent. */
const NO_STARTER: SpanStarter = {
  start: (_name, _kind, parent) =>
    carrying(isActiveSpan(parent) ? parent.spanContext() : parent && remoteSpanContext(parent)),
  startRemote: (_name, _kind, traceparent, tracestate) =>
    carrying(traceparent === undefined ? undefined : remoteSpanContext({ traceparent, tracestate })),
};

function carrying(context: SpanContext | undefined): ActiveSpan {
  const span = context !== undefined && isSpanContextValid(context) ? trace.wrapSpanContext(context) : noop;
  return new ForeignSpan(span, NO_STARTER, undefined);
}
