import { INVALID_SPAN_CONTEXT, type Span, trace } from "@opentelemetry/api";
import type { Context } from "../../context/context.ts";
import { type ContextKey, contextKey } from "../../context/key.ts";
import { withValue } from "../../context/with.ts";
import { currentTrace, withTrace } from "../../metadata/trace.ts";
import { type ActiveSpan, isActiveSpan, type SpanStarter } from "./active-span.ts";
import { asActiveSpan, remoteSpanContext } from "./foreign-span.ts";

const starterKey: ContextKey<SpanStarter | undefined> = contextKey<SpanStarter>("flotilla.spanStarter");

const NONE = trace.wrapSpanContext(INVALID_SPAN_CONTEXT);

/**
 * The span that this context runs in: what {@link withSpan} set, else that of the incoming call. Where nothing is traced here, a span that
 * ignores all it is told, and knows the caller's span context if there is one. Never undefined: `currentSpan(ctx).setAttribute(…)`
 * is always fine.
 */
export function currentSpan(ctx: Context): Span {
  const position = currentTrace(ctx);
  if (position === undefined) return NONE;
  if (isActiveSpan(position)) return position.apiSpan;
  const remote = remoteSpanContext(position);
  return remote === undefined ? NONE : trace.wrapSpanContext(remote);
}

/** A child that runs in this span: calls made under it are the span's children. Any provider's span will do. */
export function withSpan(ctx: Context, span: Span): Context {
  return withTrace(ctx, asActiveSpan(span, starterOf(ctx)));
}

/** The span of this process that this context runs in; undefined when there is none. */
export function activeSpan(ctx: Context): ActiveSpan | undefined {
  const position = currentTrace(ctx);
  return isActiveSpan(position) ? position : undefined;
}

/** A child under which `inSpan` makes its spans with this, where no span says otherwise. For the root context of a process. */
export function withStarter(ctx: Context, starter: SpanStarter): Context {
  return withValue(ctx, starterKey, starter);
}

/** What makes the spans of this context; undefined when nothing is traced. */
export function starterOf(ctx: Context): SpanStarter | undefined {
  return activeSpan(ctx)?.starter ?? ctx.value(starterKey);
}
