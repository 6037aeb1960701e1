import type { FinishedCall } from "../endpoint/finished-call.ts";
import type { TraceHeaders } from "./trace-headers.ts";

/** One call that is being observed, from its first byte to its end. Nothing here may throw. */
export interface Observation {
  /** The position in a trace that the handler's context has; undefined leaves that to the request's own headers. */
  readonly trace: TraceHeaders | undefined;
  /** Told once, when the call is over, however it ended. */
  end(call: FinishedCall): void;
}
