import { inProcess } from "../lib/in-process.ts";
import type { Scenario } from "../lib/scenario.ts";

export const discovery: Scenario = {
  name: "discovery",
  summary:
    "10,000 instances, 1 % of them replaced an update: cost of an update and of a pick, for 1 and for 50 methods",
  reference: "update-1",
  unit: "µs",
  better: "less",
  rows: {
    "update-1": "an update, 1 method",
    "update-50": "an update, 50 methods",
    "pick-1": "a balanced call, 1 method",
    "pick-50": "a balanced call, 50 methods in turn",
  },
  seconds: 0.3,
  rounds: 21,
  stage: inProcess("discovery"),
};
