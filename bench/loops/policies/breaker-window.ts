import { background } from "flotilla/context";
import { circuitBreaker, timeWindow } from "flotilla/resilience";
import { callInTurn, idempotentSum, sumEndpoint } from "../../lib/endpoints.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(callInTurn(circuitBreaker({ trip: timeWindow() })(sumEndpoint, idempotentSum), background()));
