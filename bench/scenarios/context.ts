import { inProcess } from "../lib/in-process.ts";
import type { Scenario } from "../lib/scenario.ts";

export const context: Scenario = {
  name: "context",
  summary: "a call's context under a caller that may cancel: timeout, one value, release",
  reference: "abort-controller",
  unit: "µs",
  better: "less",
  rows: {
    "abort-controller": "AbortController, AbortSignal.any, setTimeout, Map",
    flotilla: "withTimeout, withValue, cancel; signal never asked for",
    "flotilla-signal": "the same, signal asked for",
  },
  seconds: 0.3,
  rounds: 21,
  stage: inProcess("context"),
};
