import { background } from "flotilla/context";
import { clientThrottle } from "flotilla/resilience";
import { callInTurn, idempotentSum, sumEndpoint } from "../../lib/endpoints.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(callInTurn(clientThrottle()(sumEndpoint, idempotentSum), background()));
