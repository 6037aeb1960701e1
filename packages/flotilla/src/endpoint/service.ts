import type { Context } from "../context/context.ts";
import type { ServiceError } from "../errors/service-error.ts";
import type { Endpoint, Middleware } from "./endpoint.ts";
import type { MethodInfo } from "./method-info.ts";
import type { Policy } from "./policy.ts";

/** A method with the endpoint that answers it, middlewares and validation included. */
export interface BoundMethod {
  readonly info: MethodInfo;
  readonly endpoint: Endpoint;
  /** Whether a call would be refused as things stand: for transports to ask before they read the request. Left out where nothing refuses. */
  readonly refuses?: (ctx: Context) => ServiceError | undefined;
}

/** A method with middlewares around it. */
export function wrapped({ info, endpoint, refuses: inner }: BoundMethod, around: Middleware): BoundMethod {
  const outer = around.refuses;
  const wrapper = { info, endpoint: around(endpoint, info) };
  if (outer === undefined) return inner === undefined ? wrapper : { ...wrapper, refuses: inner };
  return { ...wrapper, refuses: (ctx) => outer(ctx, info) ?? inner?.(ctx) };
}

/** A contract with its implementation, ready to be served by any transport. Made by `implement`. */
export interface Service {
  readonly name: string;
  readonly methods: readonly BoundMethod[];
  /** What the middlewares of its own tell of themselves. Default nothing. */
  readonly policies?: readonly Policy[];
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
