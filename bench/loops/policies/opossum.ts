import { background } from "flotilla/context";
import CircuitBreaker from "opossum";
import { callInTurn, sumEndpoint } from "../../lib/endpoints.ts";
import { serveLoop } from "../../lib/worker.ts";

const breaker = new CircuitBreaker(sumEndpoint, { timeout: 10_000, capacity: 100 });

serveLoop(callInTurn((ctx, request) => breaker.fire(ctx, request), background()));
