export { deadline } from "./deadline.ts";
export { type RetryOptions, retry } from "./retry.ts";
export { RetryBudget, type RetryBudgetOptions } from "./retry-budget.ts";
