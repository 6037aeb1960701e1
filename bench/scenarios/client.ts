import { join } from "node:path";
import type { Scenario } from "../lib/scenario.ts";
import { checkSum } from "../lib/sum.ts";
import { openWorker } from "../lib/worker-stage.ts";
import { openServer } from "./http.ts";

const folder = join(import.meta.dirname, "..", "clients");

export const client: Scenario = {
  name: "client",
  summary: "calls of the JSON sum, 64 in flight: one client process a row, all to one bare server",
  reference: "undici",
  unit: "req/s",
  better: "more",
  rows: {
    undici: "a bare Pool, request and body.json()",
    flotilla: "typed client: discovery, balancing, default stack",
  },
  seconds: 0.4,
  rounds: 31,
  fine: true,
  async stage(machine) {
    // The clients are what is measured here, so the server takes the load generator's core.
    const server = await openServer("bare", { ...machine, subjectCpus: machine.loadCpus });
    await checkSum(server.origin);
    return {
      open: (row) => openWorker(row, machine.subjectCpus, join(folder, `${row}.ts`), [server.origin]),
      close: () => server.child.close(),
    };
  },
};
