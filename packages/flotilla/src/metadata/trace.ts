import type { Context } from "../context/context.ts";
import { type ContextKey, contextKey } from "../context/key.ts";
import { withValue } from "../context/with.ts";
import { type ServerCall, serverCallKey } from "./call.ts";
import type { TraceHeaders } from "./trace-headers.ts";
import { isTracestate } from "./tracestate.ts";

const traceKey: ContextKey<TraceHeaders | undefined> = contextKey<TraceHeaders>("flotilla.trace");

const DASH = 0x2d;
/** Length of a traceparent of version 00, and of the part of later versions that is known. */
const LENGTH = 55;

// By the low byte of a character: the value of a lower-case hex digit, 16 for all else.
const DIGITS = new Uint8Array(256).fill(16);
for (let i = 0; i < 16; i++) DIGITS["0123456789abcdef".charCodeAt(i)] = i;

/** Whether a traceparent header is valid (W3C Trace Context level 2, section 3.2). */
export function isTraceparent(value: string): boolean {
  const { length } = value;
  if (length < LENGTH) return false;
  if (value.charCodeAt(2) !== DASH || value.charCodeAt(35) !== DASH || value.charCodeAt(52) !== DASH) return false;
  // Version ff is forbidden; a version after 00 may carry more after a dash.
  const version = hex(value, 0, 2);
  if (version < 0 || version === 0xff || hex(value, 53, LENGTH) < 0) return false;
  if (length > LENGTH && (version === 0 || value.charCodeAt(LENGTH) !== DASH)) return false;
  return isId(value, 3, 35) && isId(value, 36, 52);
}

/** The flags of a valid traceparent. */
export function traceparentFlags(traceparent: string): number {
  return hex(traceparent, 53, LENGTH);
}

/** A child that belongs to this position in a trace: calls made under it carry these headers. */
export function withTrace(ctx: Context, trace: TraceHeaders): Context {
  return withValue(ctx, traceKey, trace);
}

/**
 * The position in a trace that this context belongs to: what {@link withTrace} set, else what the incoming call carried.
 * A malformed traceparent counts as absent; a malformed tracestate is dropped.
 */
export function currentTrace(ctx: Context): TraceHeaders | undefined {
  const set = ctx.value(traceKey);
  if (set !== undefined) return set;
  const call = ctx.value(serverCallKey);
  if (call === undefined) return undefined;
  return call.observation?.trace ?? incomingTrace(call);
}

/**
 * The position in a trace that a call came with; undefined when it came with none, or with a malformed one. A traceparent
 * of a later version is passed on as one of version 00, as the specification demands.
 */
export function incomingTrace({
  traceparent,
  tracestate,
}: Pick<ServerCall, keyof TraceHeaders>): TraceHeaders | undefined {
  if (traceparent === undefined || !isTraceparent(traceparent)) return undefined;
  return {
    traceparent: traceparent.startsWith("00") ? traceparent : `00-${traceparent.slice(3, LENGTH)}`,
    tracestate: tracestate !== undefined && isTracestate(tracestate) ? tracestate : undefined,
  };
}

/** Hex digits, not all zero. */
function isId(value: string, from: number, to: number): boolean {
  let digits = 0;
  let chars = 0;
  for (let i = from; i < to; i++) {
    const char = value.charCodeAt(i);
    chars |= char;
    digits |= DIGITS[char & 0xff]!;
  }
  return digits > 0 && digits < 16 && chars < 0x80;
}

/** The number written in up to seven hex digits; below 0 when they are none. */
function hex(value: string, from: number, to: number): number {
  let number = 0;
  for (let i = from; i < to; i++) {
    const char = value.charCodeAt(i);
    const digit = char < 0x80 ? DIGITS[char]! : 16;
    if (digit > 15) return -1;
    number = (number << 4) | digit;
  }
  return number;
}
