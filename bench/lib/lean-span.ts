import { SpanKind } from "@opentelemetry/api";
import type { LeanTracerProvider } from "flotilla/telemetry";

const preset = ["rpc.system.name", "connectrpc", "rpc.method", "calc.v1.Calculator/sum", "server.port", 8080];

/** The span of `endSpan` as Flotilla's observers make it: what its method always has is not set each time. */
export function leanSpan(tracer: ReturnType<LeanTracerProvider["getTracer"]>, i: number): void {
  const span = tracer.start("calc.v1.Calculator/sum", SpanKind.SERVER, undefined, preset);
  span.setAttribute("network.peer.address", "10.0.0.7");
  span.setAttribute("network.peer.port", i & 0xffff);
  span.end();
}
