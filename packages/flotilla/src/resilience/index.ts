export type { BreakerState } from "./breaker/breaker.ts";
export {
  CIRCUIT_OPEN,
  type CircuitBreaker,
  type CircuitBreakerOptions,
  circuitBreaker,
} from "./breaker/circuit-breaker.ts";
export {
  type CountWindowOptions,
  consecutive,
  countWindow,
  type RateOptions,
  type TimeWindowOptions,
  type Trip,
  type TripFactory,
  timeWindow,
} from "./breaker/trip.ts";
export {
  CLIENT_THROTTLED,
  type ClientThrottle,
  type ClientThrottleOptions,
  clientThrottle,
  type ThrottleState,
} from "./client-throttle.ts";
export { deadline } from "./deadline.ts";
export { type DeadlineCheckOptions, deadlineCheck } from "./deadline-check.ts";
export { isFailure } from "./failure.ts";
export {
  type FallbackMiddleware,
  type FallbackOf,
  type FallbackOptions,
  type Fallbacks,
  fallback,
} from "./fallback.ts";
export type { CallFault, InjectedFault } from "./faults/call-fault.ts";
export { type Faults, type FaultsOptions, faults } from "./faults/faults.ts";
export { FAULT_INJECTED } from "./faults/live-fault.ts";
export { type HedgeOptions, hedge } from "./hedge.ts";
export { loadReporting } from "./load-reporting.ts";
export { type AdaptiveLimitOptions, adaptiveLimit } from "./overload/adaptive-limit.ts";
export {
  type ConcurrencyLimit,
  type ConcurrencyLimitOptions,
  concurrencyLimit,
} from "./overload/concurrency-limit.ts";
export type { GateState } from "./overload/gate.ts";
export type { Kind, Limit, LimitFactory } from "./overload/limit.ts";
export { type EgressLimit, type EgressLimitOptions, egressLimit } from "./rate-limit/egress-limit.ts";
export { gcra } from "./rate-limit/gcra.ts";
export { byHeader, byPeer, type RateLimitKey } from "./rate-limit/keys.ts";
export type { Decision, LocalRateLimiter, RateLimiter } from "./rate-limit/limiter.ts";
export type { RateLimiterOptions } from "./rate-limit/options.ts";
export {
  RATE_LIMITED,
  type RateLimit,
  type RateLimitCost,
  type RateLimitOptions,
  type RateLimitRefusal,
  rateLimit,
} from "./rate-limit/rate-limit.ts";
export { type SlidingWindowOptions, slidingWindow } from "./rate-limit/sliding-window.ts";
export { tokenBucket } from "./rate-limit/token-bucket.ts";
export { DEADLINE_TOO_NEAR, OVERLOADED } from "./refusal.ts";
export { type Budgets, type RetryOptions, retry } from "./retry.ts";
export { RetryBudget, type RetryBudgetOptions } from "./retry-budget.ts";
export {
  type AtMostOnce,
  type AtMostOnceOptions,
  type AtMostOnceState,
  atMostOnce,
  IDEMPOTENCY_KEY,
  type IdempotencyKeyOptions,
  idempotencyKeys,
} from "./reuse/at-most-once.ts";
export type { CacheState } from "./reuse/cache-policy.ts";
export type { CallKey, CallKeyOptions } from "./reuse/call-key.ts";
export { type ResponseCache, type ResponseCacheOptions, responseCache } from "./reuse/response-cache.ts";
export { type SingleFlight, type SingleFlightOptions, singleFlight } from "./reuse/single-flight.ts";
