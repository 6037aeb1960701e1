import type { Code } from "../errors/code.ts";
import type { ServiceError } from "../errors/service-error.ts";
import type { MethodInfo } from "./method-info.ts";

/** What a finished call looked like to the transport that served it. */
export interface FinishedCall {
  /** The method; undefined when the request matched none. */
  readonly method: MethodInfo | undefined;
  /** `connect`, `rest`, `memory`, ... */
  readonly protocol: string;
  /** `ok`, or the code of the failure. */
  readonly code: "ok" | Code;
  /** Status of the protocol underneath, such as HTTP's; 0 when nothing was sent or there is none. */
  readonly status: number;
  /** Body bytes as they went over the wire, headers not counted; 0 where there is no wire. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly durationMs: number;
  readonly error: ServiceError | undefined;
}
