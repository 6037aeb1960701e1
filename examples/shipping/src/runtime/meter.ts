import type { FinishedCall } from "flotilla/endpoint";
import type { Code } from "flotilla/errors";
import { createHistogram, type Histogram, record } from "./histogram.ts";

/** What a process has served since its start. */
export interface Served {
  readonly calls: number;
  /** Answered with an error that is the caller's: a bad request, something that is not there. */
  readonly refused: number;
  /** Failed, and the caller could not help it. */
  readonly errors: number;
  readonly latency: Histogram;
}

/** Codes that say something about the caller, not about the service. */
const callersFault: ReadonlySet<"ok" | Code> = new Set<Code>([
  "canceled",
  "invalid_argument",
  "not_found",
  "already_exists",
  "permission_denied",
  "unauthenticated",
  "failed_precondition",
  "out_of_range",
]);

/** Counts the calls a process serves. `finalize` is the hook of that name of the HTTP transport. */
export function createMeter() {
  let calls = 0;
  let refused = 0;
  let errors = 0;
  const latency = createHistogram();
  return {
    finalize: (
      _ctx: unknown,
      { code, durationMs, method }: Pick<FinishedCall, "code" | "durationMs" | "method">,
    ): void => {
      calls++;
      if (callersFault.has(code) || method === undefined) refused++;
      else if (code !== "ok") errors++;
      record(latency, durationMs);
    },
    read: (): Served => ({ calls, refused, errors, latency: [...latency] }),
  };
}

export type Meter = ReturnType<typeof createMeter>;
