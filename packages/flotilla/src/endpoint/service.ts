import type { Endpoint } from "./endpoint.ts";
import type { MethodInfo } from "./method-info.ts";
import type { Policy } from "./policy.ts";

/** A method with the endpoint that answers it, middlewares and validation included. */
export interface BoundMethod {
  readonly info: MethodInfo;
  readonly endpoint: Endpoint;
}

/** A contract with its implementation, ready to be served by any transport. Made by `implement`. */
export interface Service {
  readonly name: string;
  readonly methods: readonly BoundMethod[];
  /** What the middlewares of its own tell of themselves. Default nothing. */
  readonly policies?: readonly Policy[];
}
