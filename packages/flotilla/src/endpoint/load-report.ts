/** How busy an instance was when it took up a call, as it says itself. */
export interface LoadReport {
  /** Calls it had in flight, from all its clients. */
  readonly requestsInFlight: number;
  /** What calls took lately that found about as many in flight, milliseconds. */
  readonly latencyMs: number;
  /** Share of its processor that is in use, 0 to 1. */
  readonly utilization?: number;
}

/** The header it travels in, in the text form of ORCA (Open Request Cost Aggregation, the load reports of xDS). */
export const LOAD_HEADER = "endpoint-load-metrics";

export function formatLoadReport({ requestsInFlight, latencyMs }: LoadReport): string {
  return `TEXT named_metrics.rif=${requestsInFlight}, named_metrics.latency_ms=${latencyMs.toPrecision(4)}`;
}

const FIELD = /named_metrics\.(rif|latency_ms)=([\d.eE+-]+)/g;

/** Reads what another has written; undefined when it does not say what is needed. */
export function parseLoadReport(header: string): LoadReport | undefined {
  if (!header.startsWith("TEXT ") || header.length > 1024) return undefined;
  let requestsInFlight = Number.NaN;
  let latencyMs = Number.NaN;
  for (const [, name, value] of header.matchAll(FIELD)) {
    if (name === "rif") requestsInFlight = Number(value);
    else latencyMs = Number(value);
  }
  return requestsInFlight >= 0 && latencyMs >= 0 ? { requestsInFlight, latencyMs } : undefined;
}
