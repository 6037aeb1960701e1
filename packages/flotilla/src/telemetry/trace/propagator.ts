import {
  type Context,
  createContextKey,
  isSpanContextValid,
  type TextMapGetter,
  type TextMapPropagator,
  type TextMapSetter,
  trace,
} from "@opentelemetry/api";
import { remoteSpanContext } from "./foreign-span.ts";
import { formatTraceparent, validTracestate } from "./trace-headers.ts";

const SUPPRESSED = createContextKey("OpenTelemetry SDK Context Key SUPPRESS_TRACING");

/**
 * W3C Trace Context for OpenTelemetry's `propagation`: libraries instrumented for OpenTelemetry, such as HTTP clients, pass the trace
 * on with it.
 */
export const w3cPropagator: TextMapPropagator = {
  inject(context: Context, carrier: unknown, setter: TextMapSetter): void {
    const span = trace.getSpanContext(context);
    if (span === undefined || context.getValue(SUPPRESSED) === true || !isSpanContextValid(span)) return;
    setter.set(carrier, "traceparent", formatTraceparent(span.traceId, span.spanId, span.traceFlags));
    const tracestate = validTracestate(span.traceState?.serialize());
    if (tracestate !== undefined) setter.set(carrier, "tracestate", tracestate);
  },

  extract(context: Context, carrier: unknown, getter: TextMapGetter): Context {
    const traceparent = getter.get(carrier, "traceparent");
    // Two of them are as none: nobody knows which is right.
    if (typeof traceparent !== "string") return context;
    const tracestate = getter.get(carrier, "tracestate");
    const remote = remoteSpanContext({
      traceparent,
      tracestate: Array.isArray(tracestate) ? tracestate.join(",") : tracestate,
    });
    return remote === undefined ? context : trace.setSpanContext(context, remote);
  },

  fields: () => ["traceparent", "tracestate"],
};
