import { inProcess } from "../lib/in-process.ts";
import type { Scenario } from "../lib/scenario.ts";

export const policies: Scenario = {
  name: "policies",
  summary: "an awaited call of an endpoint in process, bare and behind each policy",
  reference: "bare-call",
  unit: "µs",
  better: "less",
  rows: {
    "bare-call": "the endpoint alone",
    deadline: "deadline",
    "deadline-check": "deadline check, of calls that have time enough",
    retry: "retry with a budget",
    hedge: "hedging, after the quantile measured: a timer a call",
    breaker: "circuit breaker, consecutive failures",
    "breaker-window": "circuit breaker, rates in a time window",
    throttle: "client throttle",
    "adaptive-limit": "adaptive concurrency limit",
    "rate-limit": "rate limit, GCRA",
    "flotilla-policies": "deadline, retry, circuit breaker in a time window, bulkhead: as cockatiel-stack",
    "flotilla-stack": "deadline, retry, breaker, adaptive limit, rate limit, tracing and metrics",
    "cockatiel-stack": "cockatiel: timeout, retry, sampling breaker, bulkhead",
    opossum: "opossum: its breaker, with timeout and bulkhead, without retry",
  },
  seconds: 0.3,
  rounds: 11,
  fine: true,
  stage: inProcess("policies"),
};
