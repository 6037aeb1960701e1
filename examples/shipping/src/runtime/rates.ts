import type { ServiceState } from "./fleet.ts";
import { type Histogram, quantile, since } from "./histogram.ts";
import type { ServiceRow } from "./table.ts";

interface Sample {
  readonly atMs: number;
  readonly calls: number;
  readonly latency: Histogram;
}

/** Turns counts since the start into rates and latencies of the last few seconds. */
export interface Rates {
  /** A row for the table from the state of a service now. Call it a few times a second at most. */
  row(state: ServiceState, nowMs: number): ServiceRow;
}

export function createRates(windowMs = 5000): Rates {
  const samples = new Map<string, Sample[]>();
  return {
    row: (state, nowMs) => {
      const { name, wanted, instances, pids, served } = state;
      const kept = (samples.get(name) ?? []).filter((sample) => nowMs - sample.atMs <= windowMs);
      const oldest = kept[0] ?? { atMs: nowMs, calls: served.calls, latency: served.latency };
      kept.push({ atMs: nowMs, calls: served.calls, latency: served.latency });
      samples.set(name, kept);
      const seconds = (nowMs - oldest.atMs) / 1000;
      const recent = since(served.latency, oldest.latency);
      return {
        name,
        wanted,
        instances,
        pids,
        perSecond: seconds > 0 ? (served.calls - oldest.calls) / seconds : 0,
        p50Ms: quantile(recent, 0.5),
        p99Ms: quantile(recent, 0.99),
        refused: served.refused,
        errors: served.errors,
      };
    },
  };
}
