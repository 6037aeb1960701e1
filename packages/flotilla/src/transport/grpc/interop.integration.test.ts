// gRPC's published interoperability cases, against the other implementations for Node, both ways.
import { describe, type TestContext, test } from "node:test";
import { createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { background, withValue } from "../../context/with.ts";
import { errorReporterKey } from "../../endpoint/report.ts";
import type { Listener } from "../../endpoint/transport.ts";
import { implement } from "../../service/implement.ts";
import { grpcWebClient } from "../http/grpc-web/client.ts";
import type { GrpcWebClientOptions } from "../http/grpc-web/options.ts";
import { http } from "../http/server.ts";
import { nothingEscapes } from "../http/test-fixtures/bed.ts";
import { certificate } from "../http/test-fixtures/certificate.ts";
import { grpcClient } from "./client.ts";
import type { GrpcClientOptions } from "./client-options.ts";
import { grpc } from "./server.ts";
import { type InteropClient, interopCases } from "./test-fixtures/interop-cases.ts";
import { connectClient, connectHttp1Server, connectServer } from "./test-fixtures/interop-connect.ts";
import { interopClient, TestContract, testService } from "./test-fixtures/interop-flotilla.ts";
import { grpcJsClient, grpcJsServer } from "./test-fixtures/interop-grpc-js.ts";

nothingEscapes();

const secret = await certificate();

/** Where a server of the cases is: `127.0.0.1:9090`. */
type Serve = (t: TestContext) => Promise<string>;
type Call = (t: TestContext, address: string) => InteropClient;

function flotilla(listener: () => Listener): Serve {
  return async (t) => {
    const root = withValue(background(), errorReporterKey, () => {});
    const listening = await listener().listen([implement(TestContract, testService)], root);
    t.after(() => listening.close());
    return new URL(listening.address).host;
  };
}

function peer(open: () => Promise<{ readonly port: number; close(): void }>): Serve {
  return async (t) => {
    const server = await open();
    t.after(() => server.close());
    return `127.0.0.1:${server.port}`;
  };
}

function flotillaClient(scheme: string, options: GrpcClientOptions = {}): Call {
  return (t, address) => {
    const connection = grpcClient(options).connect(`${scheme}://${address}`);
    t.after(() => connection.close());
    return interopClient(connection);
  };
}

function webClient(options: GrpcWebClientOptions = {}): Call {
  return (t, address) => {
    const connection = grpcWebClient(options).connect(`http://${address}`);
    t.after(() => connection.close());
    return interopClient(connection);
  };
}

function grpcJs(ca?: string): Call {
  return (t, address) => {
    const client = grpcJsClient(address, ca);
    t.after(() => client.close());
    return client;
  };
}

const grpcConnect: Call = (_t, address) => connectClient(createGrpcTransport({ baseUrl: `http://${address}` }));
const webOverHttp2: Call = (_t, address) =>
  connectClient(createGrpcWebTransport({ baseUrl: `http://${address}`, httpVersion: "2" }));
const webOverHttp1: Call = (_t, address) =>
  connectClient(createGrpcWebTransport({ baseUrl: `http://${address}`, httpVersion: "1.1" }));

const webWithTls: Call = (_t, address) => {
  const options = { baseUrl: `https://${address}`, httpVersion: "2", nodeOptions: { ca: secret.cert } } as const;
  return connectClient(createGrpcWebTransport(options));
};

const ownPort = flotilla(() => grpc());
const httpPort = flotilla(() => http({ protocols: [grpc()] }));
const secure = flotilla(() => grpc({ tls: secret }));
const secureHttpPort = flotilla(() => http({ tls: secret, protocols: [grpc()] }));

/** Cases that HTTP/1.1 cannot carry: it has no answers before the request is complete. */
const twoWays = [
  "ping_pong",
  "empty_stream",
  "custom_metadata",
  "status_code_and_message",
  "cancel_after_first_response",
  "timeout_on_sleeping_server",
];

const pairs: readonly [name: string, serve: Serve, call: Call, without?: readonly string[]][] = [
  ["Flotilla to Flotilla", ownPort, flotillaClient("grpc")],
  [
    "Flotilla to Flotilla, compressed",
    flotilla(() => grpc({ compressMinBytes: 0 })),
    flotillaClient("grpc", { compress: true }),
  ],
  ["Flotilla to Flotilla, JSON", ownPort, flotillaClient("grpc", { format: "json" })],
  ["Flotilla to grpc-js", peer(grpcJsServer), flotillaClient("grpc")],
  ["Flotilla to grpc-js, compressed", peer(grpcJsServer), flotillaClient("grpc", { compress: true })],
  ["Flotilla to connect-node", peer(connectServer), flotillaClient("grpc")],
  ["Flotilla to connect-node, compressed", peer(connectServer), flotillaClient("grpc", { compress: true })],
  ["grpc-js to Flotilla", ownPort, grpcJs()],
  ["grpc-js to Flotilla, compressed", flotilla(() => grpc({ compressMinBytes: 0 })), grpcJs()],
  ["grpc-js to Flotilla with TLS", secure, grpcJs(secret.cert)],
  ["grpc-js to Flotilla on the port of HTTP", httpPort, grpcJs()],
  ["grpc-js to Flotilla on the port of HTTP with TLS", secureHttpPort, grpcJs(secret.cert)],
  ["connect-node to Flotilla", ownPort, grpcConnect],
  ["connect-node to Flotilla on the port of HTTP", httpPort, grpcConnect],
  ["connect-node to Flotilla by gRPC-Web on HTTP/2", httpPort, webOverHttp2],
  ["connect-node to Flotilla by gRPC-Web with TLS", secureHttpPort, webWithTls],
  ["connect-node to Flotilla by gRPC-Web on HTTP/1.1", httpPort, webOverHttp1, twoWays],
  ["Flotilla to Flotilla by gRPC-Web on HTTP/2", httpPort, webClient({ http2: true })],
  ["Flotilla to connect-node by gRPC-Web on HTTP/2", peer(connectServer), webClient({ http2: true })],
  [
    "Flotilla to connect-node by gRPC-Web on HTTP/1.1, compressed",
    peer(connectHttp1Server),
    webClient({ compress: true }),
    twoWays,
  ],
];

for (const [name, serve, call, without = []] of pairs) {
  describe(name, () => {
    for (const [title, run] of Object.entries(interopCases)) {
      if (without.includes(title)) continue;
      test(title, { timeout: 20_000 }, async (t) => run(call(t, await serve(t))));
    }
  });
}
