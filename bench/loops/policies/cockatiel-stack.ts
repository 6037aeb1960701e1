import {
  bulkhead,
  circuitBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  SamplingBreaker,
  TimeoutStrategy,
  timeout,
  wrap,
} from "cockatiel";
import { background } from "flotilla/context";
import { callInTurn, sumEndpoint } from "../../lib/endpoints.ts";
import { serveLoop } from "../../lib/worker.ts";

const policy = wrap(
  timeout(10_000, TimeoutStrategy.Cooperative),
  retry(handleAll, { maxAttempts: 3, backoff: new ExponentialBackoff() }),
  circuitBreaker(handleAll, {
    halfOpenAfter: 5000,
    breaker: new SamplingBreaker({ threshold: 0.5, duration: 10_000 }),
  }),
  bulkhead(100, 100),
);

serveLoop(callInTurn((ctx, request) => policy.execute(() => sumEndpoint(ctx, request)), background()));
