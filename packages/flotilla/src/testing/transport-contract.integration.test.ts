import { describe, test } from "node:test";
import { grpcClient } from "../transport/grpc/client.ts";
import { grpc } from "../transport/grpc/server.ts";
import { httpClient } from "../transport/http/client.ts";
import { grpcWebClient } from "../transport/http/grpc-web/client.ts";
import { jsonRpcClient } from "../transport/http/json-rpc/client.ts";
import { jsonRpc } from "../transport/http/json-rpc/server.ts";
import { http } from "../transport/http/server.ts";
import { certificate } from "../transport/http/test-fixtures/certificate.ts";
import { memory } from "../transport/memory/memory.ts";
import { functions } from "./test-fixtures/functions.ts";
import { transportContract } from "./transport-contract.ts";

const net = memory();
const lambda = functions();
const secret = await certificate();
const trusting = { tls: { ca: secret.cert } };
// With TLS, node:http2 does not hear that a client is gone while it has to wait to write to it: whether it is there is asked sooner than by default.
const asking = { tls: secret, keepalive: { everyMs: 100, timeoutMs: 300 } };
const transports = {
  memory: { listener: () => net.listener("contract"), connector: () => net, tcp: false },
  "HTTP/1.1": { listener: () => http(), connector: () => httpClient(), bidi: false },
  "HTTP/2": { listener: () => http(), connector: () => httpClient({ http2: true }) },
  gRPC: { listener: () => grpc(), connector: () => grpcClient() },
  "AWS Lambda, invoked": { ...lambda, streams: false, hears: false, tcp: false },
  "gRPC with TLS": { listener: () => grpc(asking), connector: () => grpcClient(trusting) },
  "gRPC on the port of HTTP": { listener: () => http({ protocols: [grpc()] }), connector: () => grpcClient() },
  "HTTP/2 on a port with gRPC": {
    listener: () => http({ protocols: [grpc()] }),
    connector: () => httpClient({ http2: true }),
  },
  "gRPC-Web over HTTP/1.1": {
    listener: () => http({ protocols: [grpc()] }),
    connector: () => grpcWebClient(),
    bidi: false,
  },
  "gRPC-Web over HTTP/2 with TLS, compressed": {
    listener: () => http({ tls: secret, protocols: [grpc({ compressMinBytes: 0 })] }),
    connector: () => grpcWebClient({ ...trusting, http2: true, compress: true }),
  },
  "JSON-RPC": {
    listener: () => http({ protocols: [jsonRpc()] }),
    connector: () => jsonRpcClient({ compress: "gzip" }),
    streams: false,
  },
  "JSON-RPC over HTTP/2 with TLS": {
    listener: () => http({ tls: secret, protocols: [jsonRpc()] }),
    connector: () => jsonRpcClient({ ...trusting, http2: true }),
    streams: false,
  },
  "gRPC on the port of HTTP with TLS": {
    listener: () => http({ tls: secret, idleTimeoutMs: 300, protocols: [grpc()] }),
    connector: () => grpcClient(trusting),
  },
  "HTTP/1.1 with TLS, compressed": {
    listener: () => http({ tls: secret, compressMinBytes: 0 }),
    connector: () => httpClient({ ...trusting, compress: "gzip" }),
    bidi: false,
  },
  "HTTP/2 with TLS, compressed": {
    listener: () => http({ tls: secret, compressMinBytes: 0 }),
    connector: () => httpClient({ ...trusting, http2: true, compress: "br" }),
  },
  "gRPC, compressed": {
    listener: () => grpc({ compressMinBytes: 0 }),
    connector: () => grpcClient({ compress: true }),
  },
};

for (const [name, under] of Object.entries(transports)) {
  describe(`transport contract, ${name}`, () => {
    for (const { name: title, run } of transportContract(under)) test(title, { timeout: 20_000 }, run);
  });
}
