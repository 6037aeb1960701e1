import type { Context } from "../context/context.ts";
import { type ContextKey, contextKey } from "../context/key.ts";

/** Asks whether the process is ready to serve, as its own probes would tell. Never rejects. */
export type Readiness = (ctx: Context) => Promise<boolean>;

/**
 * The key under which a host tells its listeners how to ask, for those whose protocol has a health check of its own. Default: ready
 * as long as the listener serves.
 */
export const readinessKey: ContextKey<Readiness> = contextKey<Readiness>("flotilla.readiness", () =>
  Promise.resolve(true),
);
