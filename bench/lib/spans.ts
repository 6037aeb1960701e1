import { ROOT_CONTEXT, SpanKind, type Tracer } from "@opentelemetry/api";
import type { Loop } from "./worker.ts";

/** Spans to an export: the default of batch processors. */
const BATCH = 512;

/** Makes one server span with five attributes, by the OpenTelemetry API. */
export function endSpan(tracer: Tracer, i: number): void {
  const span = tracer.startSpan("calc.v1.Calculator/sum", { kind: SpanKind.SERVER }, ROOT_CONTEXT);
  span.setAttribute("rpc.system.name", "connectrpc");
  span.setAttribute("rpc.method", "calc.v1.Calculator/sum");
  span.setAttribute("server.port", 8080);
  span.setAttribute("network.peer.address", "10.0.0.7");
  span.setAttribute("network.peer.port", i & 0xffff);
  span.end();
}

/** Makes spans one after the other, and lets them be exported whenever there are enough for a batch, so that none is dropped. */
export function spanLoop(make: (i: number) => void, flush: () => Promise<unknown>): Loop {
  return async (iterations) => {
    for (let i = 0; i < iterations; i++) {
      make(i);
      if (i % BATCH === BATCH - 1) await flush();
    }
    await flush();
    return iterations;
  };
}
