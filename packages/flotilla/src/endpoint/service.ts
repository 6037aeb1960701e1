import type { Endpoint, Middleware } from "./endpoint.ts";
import type { MethodInfo } from "./method-info.ts";

/** A method with the endpoint that answers it, middlewares and validation included. */
export interface BoundMethod {
  readonly info: MethodInfo;
  readonly endpoint: Endpoint;
}

/** A contract with its implementation, ready to be served by any transport. Made by `implement`. */
export interface Service {
  readonly name: string;
  readonly methods: readonly BoundMethod[];
  /** `false`: its calls are neither traced, measured nor logged, for they come all the time and are nobody's concern. Default true. */
  readonly observed?: boolean;
}

/**
 * A middleware that has a service of its own to go with it. A host that has it in `use` serves that as well, with nothing around it,
 * and registers it nowhere.
 */
export interface ServingMiddleware extends Middleware {
  readonly service: Service;
}
