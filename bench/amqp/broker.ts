import { join } from "node:path";
import { Child } from "../lib/child.ts";
import type { Machine } from "../lib/machine.ts";

const START_TIMEOUT_MS = 90_000;

/** A RabbitMQ of its own, on the cores of the load. */
export async function startRabbit(machine: Machine): Promise<{ port: string; close(): Promise<void> }> {
  const file = join(import.meta.dirname, "..", "..", "scripts", "rabbitmq-process.ts");
  const child = new Child("rabbitmq", machine.loadCpus, file);
  try {
    const { port } = await child.ask<{ port: number }>(undefined, START_TIMEOUT_MS);
    return { port: String(port), close: () => child.close() };
  } catch (error) {
    await child.close();
    throw error;
  }
}
