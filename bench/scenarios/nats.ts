import { join } from "node:path";
import { type Broker, startBroker } from "../lib/broker.ts";
import { Child } from "../lib/child.ts";
import type { Machine } from "../lib/machine.ts";
import type { Scenario, Subject } from "../lib/scenario.ts";
import { openWorker } from "../lib/worker-stage.ts";

const folder = join(import.meta.dirname, "..", "nats");

/** A client process under load from itself, and the process that answers it. */
async function pair(row: string, kind: string, machine: Machine, broker: Broker): Promise<Subject> {
  const server = row === "bare" ? "bare" : "flotilla";
  const { port } = broker;
  const child = new Child(server, machine.loadCpus, join(folder, "servers", `${server}.ts`), [port]);
  try {
    await child.ask(undefined);
    const calling = await openWorker(row, machine.subjectCpus, join(folder, "clients", `${row}.ts`), [port, kind]);
    const cpuOfServer = async (): Promise<number> => (await child.ask<{ cpuMicros: number }>({})).cpuMicros;
    return {
      async measure(seconds) {
        const before = await cpuOfServer();
        const { value, cpu } = await calling.measure(seconds);
        const calls = kind === "rate" ? value * seconds : Number.NaN;
        return { value, cpu: Number.isNaN(calls) ? cpu : cpu + ((await cpuOfServer()) - before) / calls };
      },
      async close() {
        await calling.close();
        await child.close();
      },
    };
  } catch (error) {
    await child.close();
    throw error;
  }
}

function scenario(name: string, summary: string, kind: string, shape: Pick<Scenario, "unit" | "better">): Scenario {
  return {
    name,
    summary,
    reference: "bare",
    ...shape,
    rows: {
      bare: "request and respond of the client library, JSON by hand",
      flotilla: "contract, validation; the client with balancing and its default stack",
      "flotilla-transport": "the same server, the client's transport alone",
    },
    seconds: 0.4,
    rounds: 31,
    fine: true,
    async stage(machine) {
      const broker = await startBroker("nats", machine);
      return { open: (row) => pair(row, kind, machine, broker), close: () => broker.close() };
    },
  };
}

/** NATS request and reply, and how long one takes. Processor time is that of both ends, without the broker's. */
export const natsScenarios: readonly Scenario[] = [
  scenario("nats", "request and reply over a nats-server, 64 in flight on one connection", "rate", {
    unit: "req/s",
    better: "more",
  }),
  scenario("nats-p50", "the median time of a call of nats", "50", { unit: "µs", better: "less" }),
  scenario("nats-p99", "the 99th percentile of a call of nats", "99", { unit: "µs", better: "less" }),
];
