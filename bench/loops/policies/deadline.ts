import { background } from "flotilla/context";
import { deadline } from "flotilla/resilience";
import { callInTurn, idempotentSum, sumEndpoint } from "../../lib/endpoints.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(callInTurn(deadline(10_000)(sumEndpoint, idempotentSum), background()));
