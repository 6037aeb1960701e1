import { inProcess } from "../lib/in-process.ts";
import type { Scenario } from "../lib/scenario.ts";

export const telemetry: Scenario = {
  name: "telemetry",
  summary: "what one span, one measurement and one log line cost",
  reference: "sdk-span",
  unit: "µs",
  better: "less",
  rows: {
    "sdk-span": "official SDK: span with 5 attributes, ended, queued and handed to an exporter",
    "flotilla-span": "the same calls of the OpenTelemetry API",
    "flotilla-span-preset": "as the observers make it: 3 attributes of the method, 2 of the call",
    "sdk-unsampled": "official SDK: span that is not sampled, 5 attributes",
    "flotilla-unsampled": "the same calls of the OpenTelemetry API",
    "prom-histogram": "prom-client: record in a bound histogram of 14 buckets",
    "flotilla-histogram": "the same, in a bound histogram of Flotilla's",
    "pino-line": "pino: info with three fields",
    "flotilla-line": "log(ctx).info with the same fields: pino's line, every value copied, limited and redacted before",
    "flotilla-call-line": "the one line of a served call: 15 fields, from its begin to its end",
    "pino-debug-off": "pino: debug line, which is not written",
    "flotilla-debug-off": "the same, outside of a call",
    "flotilla-debug-held": "log(ctx).debug with one field, kept in the call's ring",
  },
  seconds: 0.3,
  rounds: 21,
  fine: true,
  stage: inProcess("telemetry"),
};
