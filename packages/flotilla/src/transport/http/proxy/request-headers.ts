import { formatTimeout } from "../../../codec/grpc-timeout.ts";
import { formatConnectTimeout } from "../../../codec/timeout.ts";
import type { Context } from "../../../context/context.ts";
import { remainingMs } from "../../../context/with.ts";
import { baggageHeader } from "../../../metadata/baggage.ts";
import { outgoingHeaders } from "../../../metadata/call.ts";
import { PRIORITY_HEADER, priorityHeader } from "../../../metadata/priority.ts";
import { currentTrace } from "../../../metadata/trace.ts";
import { hasToken, isHop, nominated } from "./field-names.ts";
import { addOrigin, type Origin, tellsOrigin } from "./forwarded.ts";

/** What is written anew for the next hop, from what the context and the request's own framing say. */
const ANEW: ReadonlySet<string> = new Set([
  "baggage",
  "connect-timeout-ms",
  "content-length",
  "expect",
  "grpc-timeout",
  "host",
  "trailer",
  "traceparent",
  "tracestate",
  "via",
  PRIORITY_HEADER,
]);

/** The fields of a request on their way to the next hop. */
export interface RequestFields {
  /** What goes on as it came, and what is the same for every attempt. */
  readonly fixed: readonly string[];
  /** Whether the time left is told as gRPC does. */
  readonly grpc: boolean;
}

/** What the fields of a request are rewritten by. */
export interface Rewriting {
  readonly origin: Origin;
  /** Whether what the request says of its origin is believed. */
  readonly trusted: boolean;
  /** The name to go by in `Via`, and the version of HTTP that the request came by. */
  readonly via: string;
  readonly version: string;
  /** The length of the body; undefined when it is not known before its end. */
  readonly contentLength: string | undefined;
}

/** The fields of a request as the next hop is to have them. */
export function rewriteFields(raw: readonly string[], how: Rewriting): RequestFields {
  const named = nominated(raw);
  const fixed: string[] = [];
  let said: Map<string, string> | undefined;
  let via: string | undefined;
  let cookies: string | undefined;
  let trailers = false;
  let grpc = false;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    const value = raw[i + 1]!;
    const lower = name.toLowerCase();
    if (lower === "te") {
      // The only thing of it that a proxy can keep to.
      trailers ||= hasToken(value, "trailers");
    } else if (lower === "via") via = joined(via, value);
    else if (isHop(lower) || named?.has(lower) === true || lower.startsWith(":")) continue;
    else if (ANEW.has(lower)) continue;
    else if (tellsOrigin(lower)) {
      // Nor is what no proxy spells so believed: a client has sent it, and the proxy did not know it.
      if (!how.trusted || lower.includes("_")) continue;
      said ??= new Map();
      const before = said.get(lower);
      said.set(lower, joined(before, value));
    }
    // HTTP/2 may send each cookie by itself (RFC 9113, section 8.2.3).
    else if (lower === "cookie") cookies = cookies === undefined ? value : `${cookies}; ${value}`;
    else if (lower === "max-forwards")
      fixed.push(name, /^\d+$/.test(value) ? String(Math.max(0, Number(value) - 1)) : value);
    else {
      if (lower === "content-type") grpc = value.startsWith("application/grpc");
      fixed.push(name, value);
    }
  }
  if (trailers) fixed.push("te", "trailers");
  if (cookies !== undefined) fixed.push("cookie", cookies);
  if (how.contentLength !== undefined) fixed.push("content-length", how.contentLength);
  fixed.push("via", joined(via, `${how.version} ${how.via}`));
  addOrigin(fixed, how.origin, said);
  return { fixed, grpc };
}

function joined(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}

/**
 * The fields of one attempt: with the time left, the trace and whatever else the context carries over the hop.
 *
 * @throws ServiceError the context's own, when it is done already.
 */
export function attemptFields({ fixed, grpc }: RequestFields, ctx: Context): string[] {
  const left = remainingMs(ctx);
  const { err } = ctx;
  if (err !== undefined) throw err;
  const fields = fixed.slice();
  if (left !== Infinity) {
    if (grpc) fields.push("grpc-timeout", formatTimeout(left));
    else fields.push("connect-timeout-ms", formatConnectTimeout(left));
  }
  const trace = currentTrace(ctx);
  if (trace !== undefined) {
    fields.push("traceparent", trace.traceparent);
    if (trace.tracestate !== undefined) fields.push("tracestate", trace.tracestate);
  }
  const members = baggageHeader(ctx);
  if (members !== undefined) fields.push("baggage", members);
  const priority = priorityHeader(ctx);
  if (priority !== undefined) fields.push(PRIORITY_HEADER, priority);
  const own = outgoingHeaders(ctx);
  if (own !== undefined) for (const [name, value] of own.entries()) fields.push(name, value);
  return fields;
}

/** How often a request has passed a proxy of this name, by its `Via`. */
export function passes(via: string, name: string): number {
  return via.split(",").filter((entry) => entry.trim().split(/\s+/)[1] === name).length;
}
