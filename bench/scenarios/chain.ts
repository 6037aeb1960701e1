import { inProcess } from "../lib/in-process.ts";
import type { Scenario } from "../lib/scenario.ts";

export const chain: Scenario = {
  name: "chain",
  summary: "an awaited call of an endpoint in process, bare and behind ten no-op middlewares",
  reference: "bare",
  unit: "µs",
  better: "less",
  rows: {
    bare: "the endpoint alone",
    flotilla: "ten middlewares that return the next one's promise",
    "flotilla-awaiting": "ten middlewares that await it",
  },
  seconds: 0.3,
  rounds: 21,
  fine: true,
  stage: inProcess("chain"),
};
