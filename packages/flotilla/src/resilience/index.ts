export { deadline } from "./deadline.ts";
export { type AdaptiveLimitOptions, adaptiveLimit } from "./overload/adaptive-limit.ts";
export {
  type ConcurrencyLimit,
  type ConcurrencyLimitOptions,
  concurrencyLimit,
  OVERLOADED,
} from "./overload/concurrency-limit.ts";
export type { GateState } from "./overload/gate.ts";
export type { Limit, LimitFactory } from "./overload/limit.ts";
export { type RetryOptions, retry } from "./retry.ts";
export { RetryBudget, type RetryBudgetOptions } from "./retry-budget.ts";
