import { type ContextKey, contextKey } from "../context/key.ts";
import type { Instance } from "./instance.ts";

/**
 * What the attempts of one call know of each other: whoever repeats a call puts one into the context, whoever picks the
 * instance notes it there, so that the next attempt goes elsewhere.
 */
export interface Attempts {
  /** Attempts begun so far. */
  count: number;
  /** What was picked first, in the picker's own terms; undefined until then. */
  first: unknown;
  /** All that was picked so far; undefined while that is the first alone, and nobody shares in it. */
  tried: Set<unknown> | undefined;
  /** The instance picked last; undefined until the first pick. */
  instance: Instance | undefined;
}

/** The key of the attempts of the call in progress. */
export const attemptsKey: ContextKey<Attempts | undefined> = contextKey<Attempts>("flotilla.attempts");
