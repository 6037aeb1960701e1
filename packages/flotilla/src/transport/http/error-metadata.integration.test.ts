import assert from "node:assert/strict";
import { test } from "node:test";
import { background, withTimeout } from "../../context/with.ts";
import type { Connector } from "../../endpoint/transport.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { implement } from "../../service/implement.ts";
import { stub } from "../../service/stub.ts";
import { grpcClient } from "../grpc/client.ts";
import { grpc } from "../grpc/server.ts";
import { httpClient } from "./client.ts";
import { jsonRpcClient } from "./json-rpc/client.ts";
import { jsonRpc } from "./json-rpc/server.ts";
import { nothingEscapes, serve } from "./test-fixtures/bed.ts";
import { Freight, freight } from "./test-fixtures/freight.ts";

nothingEscapes();

const protocolsOwn = {
  "content-length": "3",
  "Content-Type": "text/html",
  "content-encoding": "gzip",
  connection: "close",
  "transfer-encoding": "gzip",
};

const clients: Readonly<Record<string, readonly [scheme: string, connector: Connector]>> = {
  "HTTP/1.1": ["http", httpClient()],
  "HTTP/2": ["http", httpClient({ http2: true })],
  "JSON-RPC": ["http", jsonRpcClient()],
  gRPC: ["grpc", grpcClient()],
};

for (const [name, [scheme, connector]] of Object.entries(clients)) {
  test(`metadata of an error that is the protocol's own does no harm, the rest of it crosses: ${name}`, async (t) => {
    const fail = (): never => {
      throw new ServiceError("not_found", "as it was", { metadata: { ...protocolsOwn, "x-own": "1" } });
    };
    const { port } = await serve(t, { protocols: [grpc(), jsonRpc()] }, implement(Freight, { ...freight(), fail }));
    const connection = connector.connect(`${scheme}://127.0.0.1:${port}`);
    t.after(() => connection.close());
    const calls = stub(Freight, (method) => connection.endpoint(method));
    for (let i = 0; i < 3; i++) {
      const ctx = withTimeout(background(), 5000);
      await assert.rejects(calls.fail(ctx, { code: "", message: "" }), (error: ServiceError) => {
        assert.deepEqual([error.code, error.message, error.metadata?.["x-own"]], ["not_found", "as it was", "1"]);
        return true;
      });
      ctx.cancel();
    }
  });
}
