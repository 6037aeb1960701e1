import type { Client, Contract } from "../contract/contract.ts";
import type { Context } from "../context/context.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";

/** A typed client of a contract over any endpoints: one function a method. */
export function stub<C extends Contract>(contract: C, endpointOf: (method: MethodInfo) => Endpoint): Client<C> {
  const client: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const method of contract.methods) {
    const endpoint = endpointOf(method);
    const streams = method.kind === "server_stream" || method.kind === "bidi_stream";
    client[method.key] = streams ? streaming(endpoint) : endpoint;
  }
  return Object.freeze(client) as Client<C>;
}

/** The call is made when the stream is first read: a stream nobody reads costs nothing and leaves nothing behind. */
function streaming(endpoint: Endpoint): (ctx: Context, request: unknown) => AsyncIterable<unknown> {
  return async function* stream(ctx, request) {
    yield* (await endpoint(ctx, request)) as AsyncIterable<unknown>;
  };
}
