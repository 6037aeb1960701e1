import type { Context } from "../../context/context.ts";
import type { FinishedCall } from "../../endpoint/finished-call.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { Code } from "../../errors/code.ts";
import type { ServerCall } from "../../metadata/call.ts";
import type { ActiveSpan } from "../trace/active-span.ts";

/** Which end of a call is meant. */
export type Side = "server" | "client";

/** Counts and times calls. */
export interface CallMeter {
  /** The instruments of one method, bound once. */
  method(method: MethodInfo | undefined, side: Side): MethodMeter;
}

/** Counts and times the calls of one method. Nothing here throws or allocates. */
export interface MethodMeter {
  begin(): void;
  end(
    code: "ok" | Code,
    durationMs: number,
    requestBytes: number,
    responseBytes: number,
    span: ActiveSpan | undefined,
  ): void;
}

/** Writes a line a call. */
export interface CallLog {
  /** The line of one method, prepared once. */
  method(method: MethodInfo | undefined): MethodLog;
}

/** Writes the lines of one method. */
export interface MethodLog {
  /** @param startedMs - on the clock of `ctx`. */
  begin(call: ServerCall | undefined, ctx: Context, span: ActiveSpan | undefined, startedMs: number): LoggedCall;
}

/** What one call has to log: fields that handlers add, lines held back, and the one line at its end. */
export interface LoggedCall {
  end(call: FinishedCall, attempts: number): void;
}
