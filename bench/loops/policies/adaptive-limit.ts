import { background } from "flotilla/context";
import { concurrencyLimit } from "flotilla/resilience";
import { callInTurn, idempotentSum, sumEndpoint } from "../../lib/endpoints.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(callInTurn(concurrencyLimit()(sumEndpoint, idempotentSum), background()));
