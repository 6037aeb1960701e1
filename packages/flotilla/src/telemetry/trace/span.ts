import {
  type AttributeValue,
  type Exception,
  isValidSpanId,
  isValidTraceId,
  type Link,
  type Span,
  type SpanContext,
  type SpanStatus,
  SpanStatusCode,
  type TimeInput,
} from "@opentelemetry/api";
import type { AttributeList, Scope, SpanEvent, SpanLink } from "../model.ts";
import type { ActiveSpan, SpanStarter } from "./active-span.ts";
import { cleanValue, type MutableAttributes, putAttribute, putAttributes } from "./attributes.ts";
import { exceptionAttributes } from "./exception.ts";
import type { SpanLimits } from "./limits.ts";
import type { FinishedSpan, LocalTrace, SpanSink } from "./sink.ts";
import { isTimeInput, readTime, type TimeAnchor, type Timeline } from "./time.ts";
import { formatTraceparent, validTracestate } from "./trace-headers.ts";
import { LazyTraceState } from "./trace-state.ts";

const NO_ATTRIBUTES: MutableAttributes = [];
const NO_EVENTS: SpanEvent[] = [];
const NO_LINKS: SpanLink[] = [];

const { UNSET, OK, ERROR } = SpanStatusCode;

/** What a span needs of the tracer that made it. */
export interface SpanMaker extends SpanStarter {
  readonly scope: Scope;
  readonly timeline: Timeline;
  readonly limits: Readonly<SpanLimits>;
  readonly sink: SpanSink;
}

/**
 * A sampled span. One object is the OpenTelemetry `Span`, the position in the trace that goes into headers, and, once it has ended, what
 * exporters read: nothing is copied on the way.
 *
 * Nothing that it is given makes it throw; calls after the end do nothing.
 */
export class LeanSpan implements ActiveSpan, FinishedSpan, LocalTrace {
  readonly starter: SpanMaker;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly traceFlags: number;
  readonly parentIsRemote: boolean;
  readonly traceState: string | undefined;
  readonly kind: number;
  readonly preset: AttributeList;
  /** On the clock of the provider. */
  readonly startedMs: number;
  /** Shared by the spans of one trace in this process. */
  readonly anchor: TimeAnchor;
  readonly localRoot: LeanSpan;
  name: string;
  attributes: MutableAttributes = NO_ATTRIBUTES;
  droppedAttributes = 0;
  events: SpanEvent[] = NO_EVENTS;
  droppedEvents = 0;
  links: SpanLink[] = NO_LINKS;
  droppedLinks = 0;
  statusCode: SpanStatusCode = UNSET;
  statusMessage: string | undefined = undefined;
  /** Below 0 until the span has ended. */
  durationMs = -1;
  held: FinishedSpan[] | undefined = undefined;
  verdict: LocalTrace["verdict"] = "open";
  #context: SpanContext | undefined = undefined;

  constructor(
    starter: SpanMaker,
    traceId: string,
    spanId: string,
    traceFlags: number,
    traceState: string | undefined,
    parentSpanId: string | undefined,
    parentIsRemote: boolean,
    localParent: LeanSpan | undefined,
    name: string,
    kind: number,
    preset: AttributeList,
    startedMs: number | undefined,
  ) {
    this.starter = starter;
    this.traceId = traceId;
    this.spanId = spanId;
    this.parentSpanId = parentSpanId;
    this.traceFlags = traceFlags;
    this.traceState = traceState;
    this.kind = kind;
    this.preset = preset;
    this.startedMs = startedMs ?? starter.timeline.clock.now();
    this.name = name;
    this.parentIsRemote = parentIsRemote;
    if (localParent === undefined) {
      this.anchor = starter.timeline.anchorAt(this.startedMs);
      this.localRoot = this;
    } else {
      this.anchor = localParent.anchor;
      this.localRoot = localParent.localRoot;
    }
  }

  get traceparent(): string {
    return formatTraceparent(this.traceId, this.spanId, this.traceFlags);
  }

  get tracestate(): string | undefined {
    return this.traceState;
  }

  get apiSpan(): Span {
    return this;
  }

  get scope(): Scope {
    return this.starter.scope;
  }

  get startEpochMs(): number {
    return this.startedMs + this.anchor.epochMinusNow;
  }

  spanContext(): SpanContext {
    this.#context ??= spanContextOf(this.traceId, this.spanId, this.traceFlags, this.traceState);
    return this.#context;
  }

  isRecording(): boolean {
    return this.durationMs < 0;
  }

  setAttribute(name: string, value: AttributeValue): this {
    if (this.durationMs >= 0) return this;
    // Null and undefined say "no value".
    if (value === undefined || value === null) return this;
    if (this.attributes === NO_ATTRIBUTES) this.attributes = [];
    const { attributes, valueLength } = this.starter.limits;
    const max = attributes - (this.preset.length >> 1);
    if (!putAttribute(this.attributes, name, value, max, valueLength)) this.droppedAttributes++;
    return this;
  }

  setAttributes(attributes: Record<string, AttributeValue>): this {
    if (this.durationMs >= 0) return this;
    if (this.attributes === NO_ATTRIBUTES) this.attributes = [];
    const limits = this.starter.limits;
    const max = limits.attributes - (this.preset.length >> 1);
    this.droppedAttributes += putAttributes(this.attributes, attributes, max, limits.valueLength);
    return this;
  }

  addEvent(name: string, attributesOrTime?: Record<string, AttributeValue> | TimeInput, time?: TimeInput): this {
    if (this.durationMs >= 0) return this;
    const given = isTimeInput(attributesOrTime) ? undefined : attributesOrTime;
    return this.#event(name, given, isTimeInput(attributesOrTime) ? (time ?? attributesOrTime) : time);
  }

  addLink(link: Link): this {
    if (this.durationMs >= 0) return this;
    const { links: max, attributesEach, valueLength } = this.starter.limits;
    const made = readLink(link, attributesEach, valueLength);
    if (made === undefined || max === 0) {
      this.droppedLinks++;
      return this;
    }
    if (this.links === NO_LINKS) this.links = [];
    if (this.links.length >= max) {
      this.links.shift();
      this.droppedLinks++;
    }
    this.links.push(made);
    return this;
  }

  addLinks(links: Link[]): this {
    if (this.durationMs >= 0) return this;
    try {
      if (!Array.isArray(links)) return this;
      // The last ones stay: those before need not be looked at.
      const skipped = Math.max(0, links.length - this.starter.limits.links);
      this.droppedLinks += skipped;
      for (let i = skipped; i < links.length; i++) this.addLink(links[i]!);
    } catch {
      this.droppedLinks++;
    }
    return this;
  }

  setStatus(status: SpanStatus): this {
    if (this.durationMs >= 0 || this.statusCode === OK) return this;
    try {
      const { code, message } = status;
      // Unset is never set.
      if (code !== OK && code !== ERROR) return this;
      this.statusCode = code;
      this.statusMessage =
        code === ERROR && typeof message === "string"
          ? (cleanValue(message, this.starter.limits.valueLength) as string)
          : undefined;
    } catch {
      // A getter that throws: no status.
    }
    return this;
  }

  updateName(name: string): this {
    if (this.durationMs < 0 && typeof name === "string") {
      this.name = cleanValue(name, this.starter.limits.valueLength) as string;
    }
    return this;
  }

  recordException(exception: Exception, time?: TimeInput): void {
    if (this.durationMs >= 0) return;
    const attributes = exceptionAttributes(exception, this.starter.limits.valueLength);
    if (attributes !== undefined) this.#event("exception", attributes, time);
  }

  end(endTime?: TimeInput): void {
    if (this.durationMs >= 0) return;
    const { clock } = this.starter.timeline;
    const endEpochMs = endTime === undefined ? undefined : readTime(endTime, clock, this.anchor);
    this.finish(endEpochMs === undefined ? clock.now() : endEpochMs - this.anchor.epochMinusNow);
  }

  finish(endedMs: number = this.starter.timeline.clock.now()): void {
    if (this.durationMs >= 0) return;
    const duration = endedMs - this.startedMs;
    this.durationMs = duration > 0 ? duration : 0;
    this.starter.sink.end(this);
  }

  #event(name: string, from: Record<string, AttributeValue> | undefined, time: TimeInput | undefined): this {
    const { events: max, attributesEach, valueLength } = this.starter.limits;
    if (typeof name !== "string" || max === 0) {
      this.droppedEvents++;
      return this;
    }
    const { clock } = this.starter.timeline;
    const given = time === undefined ? undefined : readTime(time, clock, this.anchor);
    const attributes: MutableAttributes = from === undefined ? NO_ATTRIBUTES : [];
    const droppedAttributes = from === undefined ? 0 : putAttributes(attributes, from, attributesEach, valueLength);
    if (this.events === NO_EVENTS) this.events = [];
    // The oldest goes: an error is what comes last.
    if (this.events.length >= max) {
      this.events.shift();
      this.droppedEvents++;
    }
    this.events.push({
      name: cleanValue(name, valueLength) as string,
      epochMs: given ?? clock.now() + this.anchor.epochMinusNow,
      attributes,
      droppedAttributes,
    });
    return this;
  }
}

/** What the OpenTelemetry API calls a span's context. */
export function spanContextOf(
  traceId: string,
  spanId: string,
  traceFlags: number,
  traceState: string | undefined,
  isRemote = false,
): SpanContext {
  const context: SpanContext = { traceId, spanId, traceFlags };
  if (traceState !== undefined) context.traceState = new LazyTraceState(traceState);
  if (isRemote) context.isRemote = true;
  return context;
}

/** Copied: what the caller's object says later, or throws, does not reach an exporter. */
function readLink(link: Link, maxAttributes: number, valueLength: number): SpanLink | undefined {
  try {
    const { context, attributes: from } = link;
    const { traceId, spanId, traceFlags, traceState, isRemote } = context;
    if (!isValidTraceId(traceId) || !isValidSpanId(spanId)) return undefined;
    const header = validTracestate(traceState?.serialize());
    const attributes: MutableAttributes = [];
    const droppedAttributes = putAttributes(attributes, from, maxAttributes, valueLength);
    return {
      context: spanContextOf(traceId, spanId, traceFlags & 0xff, header, isRemote === true),
      attributes,
      droppedAttributes,
    };
  } catch {
    return undefined;
  }
}
