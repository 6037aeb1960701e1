import { background } from "flotilla/context";
import { hedge } from "flotilla/resilience";
import { callInTurn, idempotentSum, sumEndpoint } from "../../lib/endpoints.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(callInTurn(hedge()(sumEndpoint, idempotentSum), background()));
