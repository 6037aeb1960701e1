import { join } from "node:path";
import { startBroker } from "../lib/broker.ts";
import { Child } from "../lib/child.ts";
import type { Machine } from "../lib/machine.ts";
import type { Scenario, Subject } from "../lib/scenario.ts";
import { openWorker } from "../lib/worker-stage.ts";

const folder = join(import.meta.dirname, "..", "amqp");

/** A client process under load from itself, and the process at the other end of the broker. */
async function pair(server: string, row: string, kind: string, machine: Machine, port: string): Promise<Subject> {
  const child = new Child(server, machine.loadCpus, join(folder, "servers", `${server}.ts`), [port]);
  try {
    await child.ask(undefined);
    const calling = await openWorker(row, machine.subjectCpus, join(folder, "clients", `${row}.ts`), [port, kind]);
    return {
      measure: (seconds) => calling.measure(seconds),
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

type Shape = Pick<Scenario, "unit" | "better">;

const publishRows = {
  bare: "a confirm channel of amqplib, JSON by hand",
  flotilla: "publisher: contract, deadline, republished when the connection is lost",
};

function publishing(name: string, summary: string, kind: string, shape: Shape): Scenario {
  return {
    name,
    summary,
    reference: "bare",
    ...shape,
    rows: publishRows,
    seconds: 0.4,
    rounds: 31,
    fine: true,
    async stage(machine) {
      const broker = await startBroker("rabbitmq", machine);
      return {
        open: (row) => pair("sink", `publish-${row}`, kind, machine, broker.port),
        close: () => broker.close(),
      };
    },
  };
}

const callRows = {
  bare: "direct reply-to with amqplib, JSON by hand, at both ends",
  flotilla: "contract, validation; the client with balancing and its default stack",
  "flotilla-transport": "the same server, the client's transport alone",
};

function calling(name: string, summary: string, kind: string, shape: Shape): Scenario {
  return {
    name,
    summary,
    reference: "bare",
    ...shape,
    rows: callRows,
    seconds: 0.4,
    rounds: 31,
    fine: true,
    async stage(machine) {
      const broker = await startBroker("rabbitmq", machine);
      return {
        open: (row) => pair(row === "bare" ? "bare" : "flotilla", row, kind, machine, broker.port),
        close: () => broker.close(),
      };
    },
  };
}

const rate: Shape = { unit: "req/s", better: "more" };
const time: Shape = { unit: "µs", better: "less" };

/** AMQP: confirmed publications, and calls, with how long one takes. Processor time is that of the client. */
export const amqpScenarios: readonly Scenario[] = [
  publishing(
    "amqp",
    "confirmed publications to a quorum queue of a RabbitMQ, 64 in flight on one connection",
    "rate",
    rate,
  ),
  publishing("amqp-p50", "the median time of a publication of amqp", "50", time),
  publishing("amqp-p99", "the 99th percentile of a publication of amqp", "99", time),
  calling("amqp-call", "request and reply over a RabbitMQ, 64 in flight on one connection", "rate", rate),
  calling("amqp-call-p50", "the median time of a call of amqp-call", "50", time),
  calling("amqp-call-p99", "the 99th percentile of a call of amqp-call", "99", time),
];
