import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { type CollectedSpan, readSpans } from "./otlp.ts";

/** Takes the traces of all processes, by OTLP over HTTP, as any collector would. */
export interface Collector {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`. */
  readonly endpoint: string;
  /** The newest traces, the oldest of them first, each with its spans in the order in which they came. */
  traces(): readonly (readonly CollectedSpan[])[];
  close(): Promise<void>;
}

const maxTraces = 500;
const maxSpans = 500;

/** Starts a collector on a free port of loopback. */
export async function startCollector(): Promise<Collector> {
  const traces = new Map<string, CollectedSpan[]>();
  const keep = (span: CollectedSpan): void => {
    let spans = traces.get(span.traceId);
    if (spans === undefined) {
      traces.set(span.traceId, (spans = []));
      for (const oldest of traces.keys()) if (traces.size > maxTraces) traces.delete(oldest);
    }
    if (spans.length < maxSpans) spans.push(span);
  };
  const server = createServer((request, response) => {
    const answer = (status: number): void => void response.writeHead(status).end();
    if (request.method !== "POST" || request.url !== "/v1/traces") {
      request.resume();
      answer(404);
      return;
    }
    buffer(request).then(
      (body) => {
        try {
          for (const span of readSpans(body)) keep(span);
          answer(200);
        } catch {
          answer(400);
        }
      },
      // The process that sent it is gone.
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    traces: () => [...traces.values()],
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Whether there is one root, and every other span's parent is there too. */
export function isComplete(spans: readonly CollectedSpan[]): boolean {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const roots = spans.filter(({ parentSpanId }) => parentSpanId === undefined);
  return roots.length === 1 && spans.every(({ parentSpanId }) => parentSpanId === undefined || ids.has(parentSpanId));
}
