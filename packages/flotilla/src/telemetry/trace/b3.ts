import type { Metadata } from "../../metadata/metadata.ts";
import { isTraceparent } from "../../metadata/trace.ts";
import type { TraceHeaders } from "../../metadata/trace-headers.ts";
import { SAMPLED } from "./active-span.ts";

/**
 * The position in a trace that B3 headers tell (Zipkin): the single header `b3` goes before the `x-b3-*` ones, as the specification
 * says. A trace id of 64 bits is filled up with zeros on the left. Debug counts as sampled; a decision that is deferred counts as not sampled.
 *
 * @returns undefined when there is none or a malformed one, and for a header that has a decision only.
 */
export function readB3(headers: Metadata): TraceHeaders | undefined {
  const single = headers.get("b3");
  const found = single === undefined ? undefined : readSingle(single);
  if (found !== undefined) return found;
  const traceId = headers.get("x-b3-traceid");
  const spanId = headers.get("x-b3-spanid");
  if (traceId === undefined || spanId === undefined) return undefined;
  return position(traceId, spanId, headers.get("x-b3-flags") === "1" ? "d" : headers.get("x-b3-sampled"));
}

/** The single header: `b3: <trace>-<span>-<1 or 0>`. */
export function formatB3(trace: TraceHeaders): string {
  const { traceparent } = trace;
  return `${traceparent.slice(3, 35)}-${traceparent.slice(36, 52)}-${sampled(traceparent)}`;
}

/** The headers of the older form, names in lower case. */
export function b3Headers(trace: TraceHeaders): Record<string, string> {
  const { traceparent } = trace;
  return {
    "x-b3-traceid": traceparent.slice(3, 35),
    "x-b3-spanid": traceparent.slice(36, 52),
    "x-b3-sampled": sampled(traceparent),
  };
}

function sampled(traceparent: string): "0" | "1" {
  // The lowest bit of the last digit.
  return (Number.parseInt(traceparent.charAt(54), 16) & SAMPLED) === 0 ? "0" : "1";
}

function readSingle(header: string): TraceHeaders | undefined {
  // 32-16-1-16 and the dashes between.
  if (header.length > 68) return undefined;
  const [traceId = "", spanId = "", decision, parentId, more] = header.split("-");
  if (more !== undefined || (parentId !== undefined && !/^[0-9a-f]{16}$/.test(parentId))) return undefined;
  return position(traceId, spanId, decision);
}

function position(traceId: string, spanId: string, decision: string | undefined): TraceHeaders | undefined {
  if (traceId.length !== 16 && traceId.length !== 32) return undefined;
  let flags: string;
  switch (decision) {
    case "1":
    case "d":
    case "true":
      flags = "01";
      break;
    case "0":
    case "false":
    case undefined:
      flags = "00";
      break;
    default:
      return undefined;
  }
  const traceparent = `00-${traceId.padStart(32, "0").toLowerCase()}-${spanId.toLowerCase()}-${flags}`;
  return isTraceparent(traceparent) ? { traceparent, tracestate: undefined } : undefined;
}
