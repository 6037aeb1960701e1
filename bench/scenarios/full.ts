import { join } from "node:path";
import { Child } from "../lib/child.ts";
import type { Machine } from "../lib/machine.ts";
import type { Scenario, Subject } from "../lib/scenario.ts";
import { loadedServers, type OpenLoaded } from "./http.ts";

const collectorFile = join(import.meta.dirname, "..", "servers", "collector.ts");

/** Rows whose spans must arrive. */
const exporting: ReadonlySet<string> = new Set([
  "flotilla-full",
  "flotilla-export-all",
  "fastify-otel",
  "moleculer-full",
]);
/** Seconds after the first load until spans must have arrived: batches go out every five seconds. */
const ARRIVAL_SECONDS = 8;

/** Starts a server with a collector of its own, and checks that spans come to it. */
async function openTraced(row: string, machine: Machine, open: OpenLoaded): Promise<Subject> {
  // Beside the load generator: what receiving costs is not the server's.
  const collector = new Child(`${row}'s collector`, machine.loadCpus, collectorFile);
  let subject: Subject | undefined;
  const close = async (): Promise<void> => {
    await subject?.close();
    await collector.close();
  };
  try {
    const { port } = await collector.ask<{ port: number }>(undefined);
    subject = await open(row, [`http://127.0.0.1:${port}`]);
  } catch (error) {
    await close();
    throw error;
  }
  const opened = subject;
  let firstLoaded: number | undefined;
  return {
    async measure(seconds) {
      const measurement = await opened.measure(seconds);
      const now = performance.now();
      firstLoaded ??= now;
      const { spans } = await collector.ask<{ spans: number }>({});
      if (exporting.has(row) && spans === 0 && now - firstLoaded > ARRIVAL_SECONDS * 1000) {
        throw new Error("no span has come to the collector");
      }
      return measurement;
    },
    close,
  };
}

export const full: Scenario = {
  name: "full",
  summary: "the JSON sum with all concerns on: traces to a collector, metrics, a log line a request, limits",
  reference: "bare",
  unit: "req/s",
  better: "more",
  rows: {
    bare: "node:http by hand, no concern at all",
    "flotilla-full": "all requests traced, 10 % exported; metrics, a log line a request, deadline (limiter is to come)",
    "flotilla-export-all": "the same, all exported",
    "fastify-otel": "OpenTelemetry http instrumentation and SDK, 10 % exported; pino, rate limit",
    "moleculer-full": "metrics, tracing, 10 % exported; pino, breaker, bulkhead, retry, rate limit",
  },
  seconds: 0.4,
  rounds: 31,
  // The compiler works beside the server, on its core.
  warmUpSeconds: 12,
  fine: true,
  stage(machine, fine) {
    const open = loadedServers(machine, fine);
    return Promise.resolve({ open: (row) => openTraced(row, machine, open), close: () => Promise.resolve() });
  },
};
