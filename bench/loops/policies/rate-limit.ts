import { background } from "flotilla/context";
import { rateLimit } from "flotilla/resilience";
import { callInTurn, idempotentSum, sumEndpoint } from "../../lib/endpoints.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(callInTurn(rateLimit({ perSecond: 1e9 })(sumEndpoint, idempotentSum), background()));
