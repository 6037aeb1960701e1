import { background, withTimeout } from "flotilla/context";
import { deadlineCheck } from "flotilla/resilience";
import { callInTurn, idempotentSum, sumEndpoint } from "../../lib/endpoints.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(callInTurn(deadlineCheck()(sumEndpoint, idempotentSum), withTimeout(background(), 1e9)));
