import { isTracestate } from "../../metadata/tracestate.ts";
import { RANDOM, SAMPLED } from "./active-span.ts";

const FLAGS = ["00", "01", "02", "03"] as const;

/** The header of a position in a trace, version 00 of W3C Trace Context. Flags that the specification does not name go out as 0. */
export function formatTraceparent(traceId: string, spanId: string, traceFlags: number): string {
  return `00-${traceId}-${spanId}-${FLAGS[traceFlags & (SAMPLED | RANDOM)]}`;
}

/** A tracestate that may be passed on; undefined when there is none, or a malformed one. */
export function validTracestate(header: string | undefined): string | undefined {
  return header !== undefined && isTracestate(header) ? header : undefined;
}
