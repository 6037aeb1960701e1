import { background } from "flotilla/context";
import { chain, type Middleware } from "flotilla/endpoint";
import { callInTurn, sumEndpoint, sumMethod } from "../../lib/endpoints.ts";
import { serveLoop } from "../../lib/worker.ts";

const awaiting: Middleware = (next) => async (ctx, request) => await next(ctx, request);
const ten = Array.from({ length: 10 }, () => awaiting);

serveLoop(callInTurn(chain(...ten)(sumEndpoint, sumMethod), background()));
