import { join } from "node:path";
import { Child } from "../lib/child.ts";
import { FineLoad, pinGenerator } from "../lib/fine-load.ts";
import type { Machine } from "../lib/machine.ts";
import { nothingToClose, type Scenario, type Subject } from "../lib/scenario.ts";
import { checkSum } from "../lib/sum.ts";
import { findWrk, type Load, loadWithWrk } from "../lib/wrk.ts";

const folder = join(import.meta.dirname, "..", "servers");

export interface Server {
  readonly child: Child;
  readonly origin: string;
}

/** Starts servers/`row`.ts; it tells its port when it accepts connections. */
export async function openServer(row: string, machine: Machine, args: readonly string[] = []): Promise<Server> {
  const child = new Child(row, machine.subjectCpus, join(folder, `${row}.ts`), args);
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

/** Measures a server under `load`, and what its process used meanwhile. */
function measuring(server: Server, load: (seconds: number) => Promise<Load>, stopLoad: () => void): Subject {
  const { child } = server;
  return {
    async measure(seconds) {
      const before = await child.ask<Cpu>({});
      const { requests, perSecond } = await load(seconds);
      const after = await child.ask<Cpu>({});
      return { value: perSecond, cpu: (after.cpuMicros - before.cpuMicros) / requests };
    },
    close() {
      stopLoad();
      return child.close();
    },
  };
}

async function underWrk(row: string, wrk: string, machine: Machine, args: readonly string[]): Promise<Subject> {
  const server = await openServer(row, machine, args);
  const load = async (seconds: number): Promise<Load> =>
    loadWithWrk(wrk, await checkSum(server.origin), seconds, machine);
  return measuring(server, load, () => {});
}

async function underFineLoad(row: string, machine: Machine, args: readonly string[]): Promise<Subject> {
  const server = await openServer(row, machine, args);
  const load = new FineLoad(Number(new URL(server.origin).port));
  return measuring(
    server,
    (seconds) => load.load(seconds),
    () => load.close(),
  );
}

/** Opens servers under the load generator of the run. */
export type OpenLoaded = (row: string, args?: readonly string[]) => Promise<Subject>;

export function loadedServers(machine: Machine, fine: boolean): OpenLoaded {
  if (fine) {
    pinGenerator(machine);
    return (row, args = []) => underFineLoad(row, machine, args);
  }
  const wrk = findWrk();
  return (row, args = []) => underWrk(row, wrk, machine, args);
}

export const http: Scenario = {
  name: "http",
  summary: "POST of a JSON sum over 64 connections: one server process a row",
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
  fine: true,
  stage(machine, fine) {
    const open = loadedServers(machine, fine);
    return Promise.resolve({ open: (row) => open(row), close: nothingToClose });
  },
};
