// Connect for Node, as client and as server of the cases.
import { createServer as createHttp1Server } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import {
  type CallOptions,
  Code,
  ConnectError,
  type ConnectRouter,
  createClient,
  type Transport,
} from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { TestService, UnimplementedService } from "../../../../test/gen/grpc/testing/test_pb.ts";
import { type Beside, CallFailed, type InteropClient, telling } from "./interop-cases.ts";

const { told, toldEach } = telling((error) =>
  error instanceof ConnectError ? new CallFailed(error.code, error.rawMessage) : error,
);

export function connectClient(transport: Transport): InteropClient {
  const client = createClient(TestService, transport);
  const other = createClient(UnimplementedService, transport);
  const options = ({ metadata, timeoutMs, signal, came }: Beside = {}): CallOptions => {
    let headers: Headers | undefined;
    return {
      ...(metadata !== undefined && { headers: metadata }),
      ...(timeoutMs !== undefined && { timeoutMs }),
      ...(signal !== undefined && { signal }),
      onHeader(received) {
        headers = received;
      },
      onTrailer(trailers) {
        came?.(
          (name) => headers?.get(name) ?? undefined,
          (name) => trailers.get(name) ?? undefined,
        );
      },
    };
  };
  return {
    emptyCall: () => told(client.emptyCall({})),
    unaryCall: (request, beside) => told(client.unaryCall(request, options(beside))),
    streamingInputCall: (requests, beside) => told(client.streamingInputCall(requests, options(beside))),
    streamingOutputCall: (request, beside) => toldEach(client.streamingOutputCall(request, options(beside))),
    fullDuplexCall: (requests, beside) => toldEach(client.fullDuplexCall(requests, options(beside))),
    unimplementedCall: () => told(client.unimplementedCall({})),
    unimplementedService: () => told(other.unimplementedCall({})),
  };
}

const payload = (size: number): { payload: { body: Uint8Array } } => ({ payload: { body: new Uint8Array(size) } });

interface Context {
  readonly requestHeader: Headers;
  readonly responseHeader: Headers;
  readonly responseTrailer: Headers;
}

function echo({ requestHeader, responseHeader, responseTrailer }: Context): void {
  const initial = requestHeader.get("x-grpc-test-echo-initial");
  if (initial !== null) responseHeader.set("x-grpc-test-echo-initial", initial);
  const trailing = requestHeader.get("x-grpc-test-echo-trailing-bin");
  if (trailing !== null) responseTrailer.set("x-grpc-test-echo-trailing-bin", trailing);
}

const byNumber = new Map(Object.values(Code).map((code) => [Number(code), code as Code]));

function obey(status: { code: number; message: string } | undefined): void {
  if (status !== undefined && status.code !== 0) {
    throw new ConnectError(status.message, byNumber.get(status.code));
  }
}

function routes(router: ConnectRouter): void {
  router.service(TestService, {
    emptyCall: () => ({}),
    unaryCall({ responseSize, responseStatus }, context) {
      echo(context);
      obey(responseStatus);
      return payload(responseSize);
    },
    async *streamingOutputCall({ responseParameters }) {
      for (const { size } of responseParameters) yield payload(size);
    },
    async streamingInputCall(requests) {
      let aggregatedPayloadSize = 0;
      for await (const request of requests) aggregatedPayloadSize += request.payload?.body.byteLength ?? 0;
      return { aggregatedPayloadSize };
    },
    async *fullDuplexCall(requests, context) {
      echo(context);
      for await (const { responseParameters, responseStatus } of requests) {
        obey(responseStatus);
        for (const { size } of responseParameters) yield payload(size);
      }
    },
    unimplementedCall() {
      throw new ConnectError("as it should be", Code.Unimplemented);
    },
  });
}

interface Running {
  readonly port: number;
  close(): void;
}

/** A server on a free port of the loopback. */
export async function connectServer(): Promise<Running> {
  const server = createHttp2Server(connectNodeAdapter({ routes }));
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close();
      for (const session of sessions) session.destroy();
    },
  };
}

/** The same over HTTP/1.1: Connect and gRPC-Web only. */
export async function connectHttp1Server(): Promise<Running> {
  const server = createHttp1Server(connectNodeAdapter({ routes }));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
