import type { Context } from "../context/context.ts";
import type { Client, Contract } from "../contract/contract.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";

/**
 * A typed client of a contract over any endpoints: one function a method.
 *
 * @param close - what disposing of the client does. Default nothing.
 */
export function stub<C extends Contract>(
  contract: C,
  endpointOf: (method: MethodInfo) => Endpoint,
  close: () => Promise<void> = async () => {},
): Client<C> & AsyncDisposable {
  const client: Record<PropertyKey, unknown> = Object.create(null) as Record<PropertyKey, unknown>;
  for (const method of contract.methods) {
    const endpoint = endpointOf(method);
    const streams = method.kind === "server_stream" || method.kind === "bidi_stream";
    client[method.key] = streams ? streaming(endpoint) : endpoint;
  }
  client[Symbol.asyncDispose] = close;
  return Object.freeze(client) as Client<C> & AsyncDisposable;
}

/** The call is made when the stream is first read: a stream nobody reads costs nothing and leaves nothing behind. */
function streaming(endpoint: Endpoint): (ctx: Context, request: unknown) => AsyncIterable<unknown> {
  return async function* stream(ctx, request) {
    yield* (await endpoint(ctx, request)) as AsyncIterable<unknown>;
  };
}
