import type { Clock } from "../../../clock/clock.ts";
import { systemClock } from "../../../clock/system-clock.ts";
import type { Endpoint } from "../../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../../endpoint/method-info.ts";
import type { Connector } from "../../../endpoint/transport.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { openHttp } from "../client.ts";
import { type JsonRpcClientOptions, settleJsonRpcClient } from "./client-options.ts";
import { rpcForm } from "./client-unary.ts";

/**
 * Calls by JSON-RPC 2.0 over HTTP: Flotilla's servers that have `jsonRpc()` among their protocols, and all others that speak it. Unary
 * methods only; `params` are the method's input, which is an array for servers that take them by position.
 *
 * Source: https://www.jsonrpc.org/specification
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function jsonRpcClient(options: JsonRpcClientOptions = {}, clock: Clock = systemClock): Connector {
  const settings = settleJsonRpcClient(options);
  const forms = { unary: rpcForm(settings), stream: streamRefused };
  return {
    protocol: "http",
    callProtocol: "jsonrpc",
    connect: (address) => openHttp("jsonRpcClient", address, settings.http, forms, clock),
  };
}

function streamRefused({ procedure }: MethodInfo): Endpoint {
  return async function jsonRpcCarriesNoStreams() {
    throw new ServiceError(
      "unimplemented",
      `${procedure} streams, which JSON-RPC cannot carry: call it with httpClient (both ways at once with http2: true) or grpcClient`,
    );
  };
}
