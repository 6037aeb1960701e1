import { inProcess } from "../lib/in-process.ts";
import type { Scenario } from "../lib/scenario.ts";

const balancers = {
  "round-robin": "each in turn",
  random: "by chance",
  "weighted-round-robin": "each in turn, by weight",
  "least-request": "the less loaded of two",
  "zone-aware": "the less loaded of two, by zone",
  "peak-ewma": "the better of two by latency and load",
  prequal: "Prequal, a report with every answer",
  "ring-hash": "a ring, bounded load",
  maglev: "a table, bounded load",
};

export const balance: Scenario = {
  name: "balance",
  summary: "one pick, and the news of one call that ended, of 10 and of 10,000 instances",
  reference: "round-robin-10",
  unit: "µs",
  better: "less",
  rows: Object.fromEntries(
    Object.entries(balancers).flatMap(([name, what]) => [
      [`${name}-10`, `${what}, of 10`],
      [`${name}-10000`, `${what}, of 10,000`],
    ]),
  ),
  seconds: 0.3,
  rounds: 7,
  fine: true,
  stage: inProcess("balance"),
};
