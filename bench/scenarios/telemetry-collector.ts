import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Child } from "../lib/child.ts";
import type { Scenario } from "../lib/scenario.ts";
import { openWorker } from "../lib/worker-stage.ts";

const folder = join(import.meta.dirname, "..");

/** A port that was free a moment ago. */
async function deadOrigin(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

export const telemetryCollector: Scenario = {
  name: "telemetry-collector",
  summary: "99th percentile of the event loop's delay at 20,000 spans a second, by the state of the collector",
  reference: "live",
  unit: "µs",
  better: "less",
  rows: {
    live: "the collector accepts",
    dead: "nobody listens",
    silent: "the collector takes requests and never answers",
  },
  seconds: 1,
  rounds: 21,
  async stage(machine) {
    const collector = new Child("the collector", machine.loadCpus, join(folder, "servers", "collector.ts"));
    const { port } = await collector.ask<{ port: number }>(undefined);
    const live = `http://127.0.0.1:${port}`;
    const origins: Readonly<Record<string, string>> = { live, dead: await deadOrigin(), silent: `${live}/silent` };
    return {
      open: (row) =>
        openWorker(row, machine.subjectCpus, join(folder, "clients", "exporting.ts"), [origins[row] ?? live]),
      close: () => collector.close(),
    };
  },
};
