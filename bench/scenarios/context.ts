import { inProcess } from "../lib/in-process.ts";
import type { Scenario } from "../lib/scenario.ts";

export const context: Scenario = {
  name: "context",
  summary: "the context of one call: timeout, one value, release",
  reference: "abort-controller",
  unit: "µs",
  better: "less",
  rows: {
    "abort-controller": "AbortController, AbortSignal.any, setTimeout, Map",
    flotilla: "withTimeout, withValue, cancel; signal never asked for",
    "flotilla-signal": "the same, signal asked for",
    "flotilla-caller": "never asked for, under a caller that can be cancelled",
    "flotilla-caller-signal": "asked for, under a caller that can be cancelled",
  },
  seconds: 0.3,
  rounds: 21,
  fine: true,
  stage: inProcess("context"),
};
