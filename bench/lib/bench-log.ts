import { openSync } from "node:fs";
import { type Telemetry, telemetry } from "flotilla/telemetry";

/** Logging alone, through a real descriptor to nowhere. */
export function loggingOnly(): Telemetry {
  return telemetry({
    service: "calculator",
    env: {},
    traces: false,
    metrics: false,
    logs: { format: "json", burst: false, fd: openSync("/dev/null", "w") },
  });
}
