import type { Clock } from "../clock/clock.ts";
import type { ServiceError } from "../errors/service-error.ts";
import type { ContextKey } from "./key.ts";

/**
 * What a call carries besides its request: a deadline, cancellation, and values. The first parameter of everything that may
 * wait. The semantics are those of Go's `context` package.
 *
 * Contexts form a tree. A child is done when its parent is, never has a later deadline, and sees its parent's values.
 * Make them with `background`, `withCancel`, `withTimeout`, `withDeadline`, `withValue` and `withoutCancel`.
 */
export interface Context {
  /** When the work must be done, in milliseconds on `clock.now()`; undefined when there is no deadline. */
  readonly deadline: number | undefined;
  /**
   * Why the context is done: a ServiceError with code `canceled` or `deadline_exceeded`; undefined while it is not done.
   * Exact: a deadline that has passed shows here at once, without waiting for a timer.
   */
  readonly err: ServiceError | undefined;
  /** What `cancel` was given as the cause, else the same as `err`; undefined while the context is not done. */
  readonly cause: unknown;
  /**
   * Aborts when the context is done, with `err` as its reason. Made when first asked for: a context whose signal nobody
   * needs costs no AbortController and no timer. A deadline shows in the signal at most 4 ms late.
   */
  readonly signal: AbortSignal;
  /** The clock that `deadline` is measured on, inherited from the root. */
  readonly clock: Clock;
  /** The value of the key in the nearest ancestor that carries it, else the key's default. */
  value<T>(key: ContextKey<T>): T;
}

/**
 * A context that whoever made it can end. Hand it on as a `Context`; call `cancel` when the work is over, so that
 * everything below it is released. `using ctx = withTimeout(...)` does so by itself.
 */
export interface CancelContext extends Context {
  /**
   * Ends the context and every child. The first call wins; later ones do nothing.
   *
   * @param cause - why; shows as `ctx.cause` and as the cause of `ctx.err`.
   */
  cancel(cause?: unknown): void;
  /** The same as `cancel()`, for `using`. */
  [Symbol.dispose](): void;
}
