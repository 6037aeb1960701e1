import { type CallOptions, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { type Context, remainingMs } from "flotilla/context";
import { codeFromGrpc, ServiceError } from "flotilla/errors";
import type { AdderClient } from "./contract.ts";
import { Adder } from "./gen/addsvc/v1/addsvc_pb.ts";

/** The client of browsers, from Connect: Flotilla serves gRPC-Web, and calls by gRPC itself. */
export function grpcWebClient(address: string): AdderClient {
  const adder = createClient(Adder, createGrpcWebTransport({ baseUrl: address, httpVersion: "1.1" }));
  return {
    sum: (ctx, request) => adder.sum(request, optionsOf(ctx)).catch(rethrow),
    concat: (ctx, request) => adder.concat(request, optionsOf(ctx)).catch(rethrow),
    async *totals(ctx, request) {
      try {
        yield* adder.totals(request, optionsOf(ctx));
      } catch (error) {
        rethrow(error);
      }
    },
    async [Symbol.asyncDispose]() {},
  };
}

function optionsOf(ctx: Context): CallOptions {
  const left = remainingMs(ctx);
  return { signal: ctx.signal, ...(left !== Infinity && { timeoutMs: Math.floor(left) }) };
}

function rethrow(thrown: unknown): never {
  const { code, rawMessage } = ConnectError.from(thrown);
  throw new ServiceError(codeFromGrpc(code) ?? "unknown", rawMessage, { cause: thrown });
}
