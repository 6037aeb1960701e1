import type { Contract, Implementation } from "../contract/contract.ts";
import { chain, type Endpoint, type Middleware } from "../endpoint/endpoint.ts";
import type { MessageType, Validated } from "../endpoint/message-type.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import { type Service, wrapped } from "../endpoint/service.ts";
import { mapStream } from "../endpoint/stream.ts";
import { badRequest, type FieldViolation } from "../errors/details.ts";
import { ServiceError } from "../errors/service-error.ts";

/** Options of {@link implement}. */
export interface ImplementOptions {
  /** Middlewares around every method, the first outermost. They run before the request is validated. Default none. */
  readonly use?: readonly Middleware[];
  /**
   * Whether responses are checked against the contract as well, failing the call as `internal` when they contradict it.
   * Default: only when `NODE_ENV` is not `production`. Responses are checked, never changed.
   */
  readonly validateOutput?: boolean;
}

/** A handler of any kind, as it is called once the types are behind us. */
type AnyHandler = (ctx: unknown, request: unknown) => unknown;

/**
 * Binds an implementation to its contract: the result can be served by any transport.
 *
 * Each request is validated before the handler sees it; what is wrong leaves as `invalid_argument`, with one field violation for
 * each thing wrong.
 *
 * @throws TypeError when the implementation lacks a method.
 */
export function implement<C extends Contract>(
  contract: C,
  implementation: Implementation<C>,
  options: ImplementOptions = {},
): Service {
  const wrap = chain(...(options.use ?? []));
  const validateOutput = options.validateOutput ?? process.env["NODE_ENV"] !== "production";
  const methods = contract.methods.map((info) => {
    const handler = (implementation as Record<string, unknown>)[info.key];
    // What every object inherits (`toString`) implements nothing.
    if (
      typeof handler !== "function" ||
      handler === (Object.prototype as unknown as Record<string, unknown>)[info.key]
    ) {
      throw new TypeError(`implement: the implementation of ${contract.name} has no method "${info.key}"`);
    }
    // Called on the implementation, so that classes find their fields.
    const bound = handler.bind(implementation) as AnyHandler;
    const checked = validateOutput ? checkingOutput(bound, info) : bound;
    return Object.freeze(wrapped({ info, endpoint: validating(checked, info) }, wrap));
  });
  return Object.freeze({
    name: contract.name,
    methods: Object.freeze(methods),
    ...(wrap.policies !== undefined && { policies: wrap.policies }),
  });
}

function validating(handler: AnyHandler, info: MethodInfo): Endpoint {
  const { input, procedure } = info;
  if (info.kind === "client_stream" || info.kind === "bidi_stream") {
    return async function handle(ctx, requests) {
      return handler(ctx, validEach(input, requests as AsyncIterable<unknown>, procedure));
    };
  }
  const run = (ctx: unknown, outcome: Validated): unknown => {
    if ("violations" in outcome) throw invalid(procedure, outcome.violations);
    return handler(ctx, outcome.value);
  };
  return function handle(ctx, request) {
    try {
      const outcome = input.validate(request);
      // The handler's own promise, where it is one: one of ours around it would cost turns of the microtask queue.
      return Promise.resolve(outcome instanceof Promise ? outcome.then((late) => run(ctx, late)) : run(ctx, outcome));
    } catch (error) {
      return Promise.reject(error);
    }
  };
}

function validEach(input: MessageType, requests: AsyncIterable<unknown>, procedure: string): AsyncIterable<unknown> {
  return mapStream(requests, async (request) => {
    const outcome = await input.validate(request);
    if ("violations" in outcome) throw invalid(procedure, outcome.violations);
    return outcome.value;
  });
}

function checkingOutput(handler: AnyHandler, info: MethodInfo): AnyHandler {
  const { output, procedure } = info;
  if (info.kind === "server_stream" || info.kind === "bidi_stream") {
    return (ctx, request) => checkEach(output, handler(ctx, request) as AsyncIterable<unknown>, procedure);
  }
  return async (ctx, request) => {
    const response = await handler(ctx, request);
    contradiction(procedure, await output.validate(response));
    return response;
  };
}

function checkEach(output: MessageType, responses: AsyncIterable<unknown>, procedure: string): AsyncIterable<unknown> {
  return mapStream(responses, async (response) => {
    contradiction(procedure, await output.validate(response));
    return response;
  });
}

function contradiction(procedure: string, outcome: Validated): void {
  if (!("violations" in outcome)) return;
  const cause = new Error(
    `${procedure} returned a response that contradicts its contract: ${describe(outcome.violations)}`,
  );
  throw new ServiceError("internal", "internal error", { cause });
}

function invalid(procedure: string, violations: readonly FieldViolation[]): ServiceError {
  return new ServiceError("invalid_argument", `invalid request to ${procedure}: ${describe(violations)}`, {
    details: [badRequest(violations)],
  });
}

/** `a: expected number; items[2].price: required` */
function describe(violations: readonly FieldViolation[]): string {
  return violations
    .map(({ field, description }) => (field === "" ? description : `${field}: ${description}`))
    .join("; ");
}
