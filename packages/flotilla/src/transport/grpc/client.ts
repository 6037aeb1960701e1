import type { Clock } from "../../clock/clock.ts";
import { systemClock } from "../../clock/system-clock.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import type { MethodInfo } from "../../endpoint/method-info.ts";
import type { Connection, Connector, PoolState } from "../../endpoint/transport.ts";
import { ClientMethod } from "./client-method.ts";
import { type GrpcClientOptions, type GrpcClientSettings, settleClient } from "./client-options.ts";
import { StreamClientCall } from "./client-stream.ts";
import { UnaryClientCall } from "./client-unary.ts";
import { GrpcPeer } from "./peer.ts";

/**
 * Calls over gRPC: Flotilla's servers and all others that speak it. One connection carries many calls. A call that the server says it did
 * not take in (GOAWAY, REFUSED_STREAM) is sent once more on another connection; where the request was a stream, it fails with
 * `retry.unprocessed` instead.
 *
 * Contracts that are no protobuf go as JSON (`application/grpc+json`), which only Flotilla's own servers speak.
 *
 * @throws TypeError when an option is not legal, naming it.
 */
export function grpcClient(options: GrpcClientOptions = {}, clock: Clock = systemClock): Connector {
  const settings = settleClient(options);
  return {
    protocol: "grpc",
    connect: (address) => new GrpcConnection(originOf(address), settings, clock),
  };
}

/** `grpc://host:port` as the origin that HTTP/2 knows it by. */
function originOf(address: string): string {
  const url = URL.parse(address.replace(/^grpc(s?):/, "http$1:"));
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:") || url.pathname !== "/") {
    throw new TypeError(
      `grpcClient: address ${JSON.stringify(address)} must look like grpc://host:port or grpcs://host:port`,
    );
  }
  return url.origin;
}

class GrpcConnection implements Connection {
  readonly #peer: GrpcPeer;

  constructor(origin: string, settings: GrpcClientSettings, clock: Clock) {
    this.#peer = new GrpcPeer(origin, settings, clock);
  }

  endpoint(info: MethodInfo): Endpoint {
    const peer = this.#peer;
    const method = new ClientMethod(info, peer.settings, peer.address);
    if (info.kind === "unary") {
      return function grpcUnary(ctx, request) {
        const call = new UnaryClientCall(ctx, method, peer);
        try {
          call.start(request);
        } catch (error) {
          return Promise.reject(error);
        }
        return call.answer;
      };
    }
    return async function grpcStream(ctx, request) {
      const call = new StreamClientCall(ctx, method, peer);
      call.start(request);
      if (info.kind === "client_stream") return call.answer();
      await call.begun;
      return call.responses;
    };
  }

  poolState(): PoolState {
    return this.#peer.poolState();
  }

  drain(): Promise<void> {
    return this.#peer.drain();
  }

  async close(): Promise<void> {
    this.#peer.close();
  }
}
