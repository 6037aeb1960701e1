import { background } from "flotilla/context";
import { chain } from "flotilla/endpoint";
import { circuitBreaker, concurrencyLimit, deadline, rateLimit, retry, timeWindow } from "flotilla/resilience";
import { telemetry } from "flotilla/telemetry";
import { callInTurn, idempotentSum, sumEndpoint } from "../../lib/endpoints.ts";
import { serveLoop } from "../../lib/worker.ts";

// Traced and measured as all calls are; nothing is sent anywhere.
const observed = telemetry({
  service: "bench",
  env: { OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none", OTEL_LOGS_EXPORTER: "none" },
});
const stack = chain(
  observed.client("memory"),
  deadline(10_000),
  retry(),
  circuitBreaker({ trip: timeWindow() }),
  concurrencyLimit({ side: "client" }),
  rateLimit({ perSecond: 1e9 }),
);

serveLoop(callInTurn(stack(sumEndpoint, idempotentSum), background()));
