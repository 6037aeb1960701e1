import { join } from "node:path";
import { Child } from "../lib/child.ts";
import type { Machine } from "../lib/machine.ts";
import { nothingToClose, type Scenario, type Subject } from "../lib/scenario.ts";
import { checkSum } from "../lib/sum.ts";
import { findWrk, loadWithWrk } from "../lib/wrk.ts";

const folder = join(import.meta.dirname, "..", "servers");

/** Starts servers/`row`.ts; it tells its port when it accepts connections. */
export async function openServer(row: string, machine: Machine): Promise<{ child: Child; origin: string }> {
  const child = new Child(row, machine.subjectCpus, join(folder, `${row}.ts`));
  try {
    const { port } = await child.ask<{ port: number }>(undefined);
    return { child, origin: `http://127.0.0.1:${port}` };
  } catch (error) {
    await child.close();
    throw error;
  }
}

/** What lib/ready.ts answers. */
interface Cpu {
  readonly cpuMicros: number;
}

async function openRow(row: string, wrk: string, machine: Machine): Promise<Subject> {
  const { child, origin } = await openServer(row, machine);
  return {
    async measure(seconds) {
      const url = await checkSum(origin);
      const before = await child.ask<Cpu>({});
      const { requests, perSecond } = await loadWithWrk(wrk, url, seconds, machine);
      const after = await child.ask<Cpu>({});
      return { value: perSecond, cpu: (after.cpuMicros - before.cpuMicros) / requests };
    },
    close: () => child.close(),
  };
}

export const http: Scenario = {
  name: "http",
  summary: "POST of a JSON sum over 64 connections: one server process a row, wrk as the load",
  reference: "bare",
  unit: "req/s",
  better: "more",
  rows: {
    bare: "node:http by hand",
    flotilla: "contract, validation, Connect protocol",
    fastify: "with JSON schemas both ways",
    hono: "on @hono/node-server",
    nest: "on express",
    moleculer: "moleculer-web and a service in one process",
    "connect-node": "Connect protocol from a protobuf descriptor",
  },
  seconds: 0.4,
  rounds: 31,
  stage(machine) {
    const wrk = findWrk();
    return Promise.resolve({ open: (row) => openRow(row, wrk, machine), close: nothingToClose });
  },
};
