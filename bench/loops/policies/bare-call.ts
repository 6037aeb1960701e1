import { background } from "flotilla/context";
import { callInTurn, sumEndpoint } from "../../lib/endpoints.ts";
import { serveLoop } from "../../lib/worker.ts";

serveLoop(callInTurn(sumEndpoint, background()));
