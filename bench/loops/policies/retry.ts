import { background } from "flotilla/context";
import { retry } from "flotilla/resilience";
import { callInTurn, idempotentSum, sumEndpoint } from "../../lib/endpoints.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(callInTurn(retry()(sumEndpoint, idempotentSum), background()));
