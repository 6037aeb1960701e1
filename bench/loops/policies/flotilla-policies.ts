import { background } from "flotilla/context";
import { chain } from "flotilla/endpoint";
import { circuitBreaker, concurrencyLimit, deadline, retry, timeWindow } from "flotilla/resilience";
import { callInTurn, idempotentSum, sumEndpoint } from "../../lib/endpoints.ts";
import { serveLoop } from "../../lib/worker.ts";

const stack = chain(
  deadline(10_000),
  retry(),
  circuitBreaker({ trip: timeWindow() }),
  concurrencyLimit({ limit: 100, side: "client" }),
);

serveLoop(callInTurn(stack(sumEndpoint, idempotentSum), background()));
