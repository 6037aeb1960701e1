/**
 * A typed name for a value in a {@link Context}. Keys are compared by identity, so two keys of one name never collide.
 * Make each once, at module level, with {@link contextKey}.
 */
export interface ContextKey<T> {
  readonly name: string;
  /** What `ctx.value(key)` gives where no ancestor carries the key. */
  readonly defaultValue: T;
}

/** Makes a key for values that may be absent: `ctx.value(key)` is then undefined. */
export function contextKey<T>(name: string): ContextKey<T | undefined>;
/** Makes a key with a default. */
export function contextKey<T>(name: string, defaultValue: T): ContextKey<T>;
export function contextKey<T>(name: string, defaultValue?: T): ContextKey<T | undefined> {
  return Object.freeze({ name, defaultValue });
}
