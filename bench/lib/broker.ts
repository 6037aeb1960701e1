import { join } from "node:path";
import { Child } from "./child.ts";
import type { Machine } from "./machine.ts";

const file = join(import.meta.dirname, "..", "..", "scripts", "broker-process.ts");
/** A RabbitMQ takes several seconds; one that has to be installed first, a minute. */
const START_TIMEOUT_MS = 90_000;

/** A broker on a free port of the loopback, and on the cores of the load. */
export interface Broker {
  readonly port: string;
  close(): Promise<void>;
}

export async function startBroker(name: "nats" | "rabbitmq", machine: Machine): Promise<Broker> {
  const child = new Child(name, machine.loadCpus, file, [name]);
  try {
    const { port } = await child.ask<{ port: number }>(undefined, START_TIMEOUT_MS);
    return { port: String(port), close: () => child.close() };
  } catch (error) {
    await child.close();
    throw error;
  }
}
