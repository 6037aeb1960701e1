import { inProcess } from "../lib/in-process.ts";
import type { Scenario } from "../lib/scenario.ts";

export const telemetryExport: Scenario = {
  name: "telemetry-export",
  summary: "encoding a span with 5 attributes for OTLP/HTTP, in requests of 512",
  reference: "official",
  unit: "µs",
  better: "less",
  rows: {
    official: "ProtobufTraceSerializer of @opentelemetry/otlp-transformer",
    flotilla: "spans made by the OpenTelemetry API",
    "flotilla-preset": "spans as the observers make them: 3 attributes of the method, 2 of the call",
  },
  seconds: 0.3,
  rounds: 21,
  fine: true,
  stage: inProcess("telemetry-export"),
};
