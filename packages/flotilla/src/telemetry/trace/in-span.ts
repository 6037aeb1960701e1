import {
  type AttributeValue,
  type Exception,
  type Link,
  type Span,
  SpanKind,
  SpanStatusCode,
} from "@opentelemetry/api";
import type { Context } from "../../context/context.ts";
import { currentTrace, withTrace } from "../../metadata/trace.ts";
import type { AttributeList } from "../model.ts";
import type { ActiveSpan, SpanStarter } from "./active-span.ts";
import { currentSpan, starterOf } from "./current-span.ts";

/** Options of {@link inSpan}. */
export interface InSpanOptions {
  /** Default `SpanKind.INTERNAL`. */
  readonly kind?: SpanKind;
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly links?: readonly Link[];
  /** What makes the span. Default: what made the span of the context, else what the process traces with. */
  readonly starter?: SpanStarter;
}

const NO_PRESET: AttributeList = [];

/**
 * Runs a function in a child span, which ends when the promise settles. An error is recorded, makes the span's status an error, and is
 * thrown on. Where nothing is traced, the function runs all the same.
 *
 * ```ts
 * const quote = await inSpan(ctx, "price", { attributes: { "cargo.size": size } }, (ctx) => pricing.quote(ctx, cargo));
 * ```
 *
 * @param fn - gets the context that is in the span: hand that on.
 */
export async function inSpan<T>(
  ctx: Context,
  name: string,
  options: InSpanOptions,
  fn: (ctx: Context, span: Span) => Promise<T> | T,
): Promise<T> {
  const span = startChild(ctx, name, options);
  if (span === undefined) return fn(ctx, currentSpan(ctx));
  try {
    return await fn(withTrace(ctx, span), span.apiSpan);
  } catch (error) {
    failSpan(span, error);
    throw error;
  } finally {
    span.finish();
  }
}

/**
 * Runs a stream in a child span: from the first message that is asked for until the stream ends, fails, or is left.
 *
 * @param fn - called when the first message is asked for.
 */
export async function* streamInSpan<T>(
  ctx: Context,
  name: string,
  options: InSpanOptions,
  fn: (ctx: Context, span: Span) => AsyncIterable<T>,
): AsyncGenerator<T, void, undefined> {
  const span = startChild(ctx, name, options);
  if (span === undefined) {
    yield* fn(ctx, currentSpan(ctx));
    return;
  }
  try {
    yield* fn(withTrace(ctx, span), span.apiSpan);
  } catch (error) {
    failSpan(span, error);
    throw error;
  } finally {
    span.finish();
  }
}

/** Records what was thrown, and makes it the span's status. Never throws, whatever was thrown. */
export function failSpan(span: Span, thrown: unknown): void {
  let message: unknown;
  try {
    message = thrown instanceof Error ? thrown.message : thrown;
    span.recordException(thrown as Exception);
  } catch {
    // A proxy that throws when looked at, and a provider that lets it.
  }
  span.setStatus(
    typeof message === "string" ? { code: SpanStatusCode.ERROR, message } : { code: SpanStatusCode.ERROR },
  );
}

function startChild(ctx: Context, name: string, options: InSpanOptions): ActiveSpan | undefined {
  const { starter = starterOf(ctx), kind = SpanKind.INTERNAL, attributes, links } = options;
  if (starter === undefined) return undefined;
  const span = starter.start(name, kind, currentTrace(ctx), NO_PRESET);
  if (attributes !== undefined) span.setAttributes(attributes);
  if (links !== undefined) span.addLinks(links.slice());
  return span;
}
