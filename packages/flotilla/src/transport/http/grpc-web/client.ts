import type { Clock } from "../../../clock/clock.ts";
import { systemClock } from "../../../clock/system-clock.ts";
import type { Connector } from "../../../endpoint/transport.ts";
import { openHttp } from "../client.ts";
import { grpcWeb } from "./call.ts";
import { type GrpcWebClientOptions, settleGrpcWebClient } from "./options.ts";

/**
 * Calls by gRPC-Web, over HTTP/1.1 or HTTP/2: Flotilla's servers that have `grpc()` among their protocols, and others that can be reached no
 * other way, behind a proxy that speaks nothing else or has no trailers. Where HTTP/2 gets through, `grpcClient` is faster. Streams both ways at
 * once need `http2: true`, and a server that goes beyond the specification, as Flotilla's does; client streams, too.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function grpcWebClient(options: GrpcWebClientOptions = {}, clock: Clock = systemClock): Connector {
  const settings = settleGrpcWebClient(options);
  return {
    protocol: "http",
    callProtocol: "grpc-web",
    connect: (address) => openHttp("grpcWebClient", address, settings, grpcWeb, clock),
  };
}
