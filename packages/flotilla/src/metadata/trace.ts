import type { Context } from "../context/context.ts";
import { type ContextKey, contextKey } from "../context/key.ts";
import { withValue } from "../context/with.ts";
import { type ServerCall, serverCallKey } from "./call.ts";
import type { TraceHeaders } from "./trace-headers.ts";

const traceKey: ContextKey<TraceHeaders | undefined> = contextKey<TraceHeaders>("flotilla.trace");

// Version ff is forbidden; all-zero ids are invalid; a later version may carry more after a dash.
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$/;
const MAX_TRACESTATE = 512;

/** Whether a traceparent header is valid (W3C Trace Context level 2, section 3.2). */
export function isTraceparent(value: string): boolean {
  return TRACEPARENT.test(value) && (value.length === 55 || !value.startsWith("00"));
}

/** A child that belongs to this position in a trace: calls made under it carry these headers. */
export function withTrace(ctx: Context, trace: TraceHeaders): Context {
  return withValue(ctx, traceKey, trace);
}

/**
 * The position in a trace that this context belongs to: what {@link withTrace} set, else what the incoming call carried.
 * A malformed traceparent counts as absent; a tracestate over 512 characters is dropped.
 */
export function currentTrace(ctx: Context): TraceHeaders | undefined {
  const set = ctx.value(traceKey);
  if (set !== undefined) return set;
  const call = ctx.value(serverCallKey);
  if (call === undefined) return undefined;
  return call.observation?.trace ?? incomingTrace(call);
}

/** The position in a trace that a call came with; undefined when it came with none, or with a malformed one. */
export function incomingTrace({ traceparent, tracestate }: ServerCall): TraceHeaders | undefined {
  if (traceparent === undefined || !isTraceparent(traceparent)) return undefined;
  return {
    traceparent,
    tracestate: tracestate !== undefined && tracestate.length <= MAX_TRACESTATE ? tracestate : undefined,
  };
}
