import type { Span, SpanContext } from "@opentelemetry/api";
import type { ActiveSpan, SpanStarter } from "./active-span.ts";
import { spanContextOf } from "./span.ts";
import { formatTraceparent } from "./trace-headers.ts";

/** A span that nobody records: it carries the trace on, and nothing else. */
export class UnsampledSpan implements ActiveSpan {
  readonly starter: SpanStarter;
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
  readonly tracestate: string | undefined;

  constructor(
    starter: SpanStarter,
    traceId: string,
    spanId: string,
    traceFlags: number,
    tracestate: string | undefined,
  ) {
    this.starter = starter;
    this.traceId = traceId;
    this.spanId = spanId;
    this.traceFlags = traceFlags;
    this.tracestate = tracestate;
  }

  get traceparent(): string {
    return formatTraceparent(this.traceId, this.spanId, this.traceFlags);
  }

  get apiSpan(): Span {
    return this;
  }

  spanContext(): SpanContext {
    return spanContextOf(this.traceId, this.spanId, this.traceFlags, this.tracestate);
  }

  isRecording(): boolean {
    return false;
  }

  setAttribute(): this {
    return this;
  }

  setAttributes(): this {
    return this;
  }

  addEvent(): this {
    return this;
  }

  addLink(): this {
    return this;
  }

  addLinks(): this {
    return this;
  }

  setStatus(): this {
    return this;
  }

  updateName(): this {
    return this;
  }

  recordException(): void {}

  end(): void {}

  finish(): void {}
}
