import type { Code } from "flotilla/errors";
import type { MetricData } from "flotilla/telemetry";
import { addExponential, createHistogram, type Histogram } from "./histogram.ts";

/** What a process has served since its start. */
export interface Served {
  readonly calls: number;
  /** Answered with an error that is the caller's: a bad request, something that is not there. */
  readonly refused: number;
  /** Failed, and the caller could not help it. */
  readonly errors: number;
  readonly latency: Histogram;
}

/** Codes that say something about the caller, not about the service. */
const callersFault: ReadonlySet<unknown> = new Set<Code>([
  "canceled",
  "invalid_argument",
  "not_found",
  "already_exists",
  "permission_denied",
  "unauthenticated",
  "failed_precondition",
  "out_of_range",
  // No process of the system asks for a method that is not there.
  "unimplemented",
]);

/** What the metrics of a process say of the calls it has served: `rpc.server.call.duration`, an exponential histogram. */
export function servedOf(metrics: readonly MetricData[]): Served {
  const latency = createHistogram();
  let calls = 0;
  let refused = 0;
  let errors = 0;
  for (const metric of metrics) {
    if (metric.name !== "rpc.server.call.duration" || metric.type !== "exponential") continue;
    for (const point of metric.points) {
      const code = point.attributes[point.attributes.indexOf("rpc.response.status_code") + 1];
      calls += point.count;
      if (callersFault.has(code)) refused += point.count;
      else if (code !== "ok") errors += point.count;
      addExponential(latency, point);
    }
  }
  return { calls, refused, errors, latency };
}
