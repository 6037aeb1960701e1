export type { CancelContext, Context } from "./context.ts";
export { type ContextKey, contextKey } from "./key.ts";
export { sleep } from "./sleep.ts";
export {
  afterFunc,
  background,
  remainingMs,
  withCancel,
  withDeadline,
  withoutCancel,
  withTimeout,
  withValue,
} from "./with.ts";
