import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { background, withTimeout } from "../../context/with.ts";
import type { Implementation } from "../../contract/contract.ts";
import type { Connector } from "../../endpoint/transport.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { serverCall, withHeaders } from "../../metadata/call.ts";
import { implement } from "../../service/implement.ts";
import { stub } from "../../service/stub.ts";
import { grpcClient } from "../grpc/client.ts";
import { grpc } from "../grpc/server.ts";
import { httpClient } from "./client.ts";
import { jsonRpcClient } from "./json-rpc/client.ts";
import { jsonRpc } from "./json-rpc/server.ts";
import { nothingEscapes, serve, serveFreight } from "./test-fixtures/bed.ts";
import { Freight, freight } from "./test-fixtures/freight.ts";

nothingEscapes();

const protocolsOwn = {
  "content-length": "3",
  "Content-Type": "text/html",
  "content-encoding": "gzip",
  connection: "close",
  "transfer-encoding": "gzip",
};

/** What no header can carry. */
const odd = {
  "x-lines": "a\r\nx-smuggled: 1",
  "x-nul": "\0",
  "x-delete": "\x7f",
  "x-text": "Ærø",
  "x two": "2",
  "": "nothing",
  ":status": "200",
};

const oddError = (): ServiceError => new ServiceError("not_found", "as it was", { metadata: { ...odd, "X-Own": "1" } });

const clients: Readonly<Record<string, readonly [scheme: string, connector: Connector]>> = {
  "HTTP/1.1": ["http", httpClient()],
  "HTTP/2": ["http", httpClient({ http2: true })],
  "JSON-RPC": ["http", jsonRpcClient()],
  "JSON-RPC over HTTP/2": ["http", jsonRpcClient({ http2: true })],
  gRPC: ["grpc", grpcClient()],
};

/** Serves {@link Freight} in all ways at once, and calls it in one. */
async function reach(t: TestContext, name: string, methods: Partial<Implementation<typeof Freight>>) {
  const [scheme, connector] = clients[name]!;
  const { port, reported } = await serve(
    t,
    { protocols: [grpc(), jsonRpc()] },
    implement(Freight, { ...freight(), ...methods }),
  );
  const connection = connector.connect(`${scheme}://127.0.0.1:${port}`);
  t.after(() => connection.close());
  const ctx = withTimeout(background(), 5000);
  t.after(() => ctx.cancel());
  return { calls: stub(Freight, (method) => connection.endpoint(method)), ctx, reported };
}

for (const name of Object.keys(clients)) {
  test(`metadata of an error that is the protocol's own does no harm, the rest of it crosses: ${name}`, async (t) => {
    const fail = (): never => {
      throw new ServiceError("not_found", "as it was", { metadata: { ...protocolsOwn, "x-own": "1" } });
    };
    const { calls, ctx } = await reach(t, name, { fail });
    for (let i = 0; i < 3; i++) {
      await assert.rejects(calls.fail(ctx, { code: "", message: "" }), (error: ServiceError) => {
        assert.deepEqual([error.code, error.message, error.metadata?.["x-own"]], ["not_found", "as it was", "1"]);
        return true;
      });
    }
  });

  test(`what may stand only once does, be it said by error, handler and protocol: ${name}`, async (t) => {
    const { calls, ctx, reported } = await reach(t, name, {
      echo(call, message) {
        for (const value of ["a", "b"]) serverCall(call)!.responseHeaders.append("etag", value);
        serverCall(call)!.responseHeaders.set("http2-settings", "none");
        return message;
      },
      fail(call) {
        serverCall(call)!.responseHeaders.set("etag", "a");
        const metadata = { etag: "b", "retry-after": "7", "http2-settings": "none" };
        throw new ServiceError("not_found", "as it was", { retry: { afterMs: 5000 }, metadata });
      },
    });
    assert.deepEqual(await calls.echo(ctx, { text: "whole" }), { text: "whole" });
    await assert.rejects(calls.fail(ctx, { code: "", message: "" }), (error: ServiceError) => {
      assert.deepEqual([error.code, error.message, error.retry?.afterMs], ["not_found", "as it was", 5000]);
      return true;
    });
    assert.deepEqual(reported, []);
  });

  const fail = (): never => {
    throw oddError();
  };
  const assertWithoutOdd = (error: ServiceError): boolean => {
    assert.deepEqual([error.code, error.message, error.metadata?.["x-own"]], ["not_found", "as it was", "1"]);
    for (const key of [...Object.keys(odd), "x-smuggled"]) assert.equal(error.metadata?.[key], undefined, key);
    return true;
  };
  const assertTold = ([told, ...more]: readonly ServiceError[]): void => {
    assert.match(told!.message, /^7 of the metadata of an error \(not_found\) .* "x-lines", "x-nul", .*, "x two"/);
    assert.deepEqual(more, [], "told once");
  };

  test(`metadata of an error that cannot be a header is left out, which is told once, and the rest crosses: ${name}`, async (t) => {
    const { calls, ctx, reported } = await reach(t, name, { fail });
    await assert.rejects(calls.fail(ctx, { code: "", message: "" }), assertWithoutOdd);
    assertTold(reported);
    assert.deepEqual(await calls.sum(ctx, { a: 1, b: 2 }), { v: 3 });
  });

  if (name.startsWith("JSON-RPC")) continue;
  test(`as little does that of an error that ends a stream: ${name}`, async (t) => {
    const { calls, ctx, reported } = await reach(t, name, {
      async *count() {
        yield { n: 1 };
        fail();
      },
    });
    const read: unknown[] = [];
    await assert.rejects(async () => {
      for await (const message of calls.count(ctx, { to: 2 })) read.push(message);
    }, assertWithoutOdd);
    assert.deepEqual(read, [{ n: 1 }]);
    assertTold(reported);
  });
}

test("metadata of an error that cannot be a header is left out of an answer as problem+json, too", async (t) => {
  const { address, reported } = await serveFreight(t, {}, { latestCargo: () => Promise.reject(oddError()) });
  const answer = await fetch(`${address}/cargos/latest`);
  assert.deepEqual([answer.status, answer.headers.get("x-own"), answer.headers.get("x-text")], [404, "1", null]);
  assert.equal(((await answer.json()) as { code: string }).code, "not_found");
  assert.equal(reported.length, 1);
});

test("what Node refuses all the same costs the answer, and nothing else", async (t) => {
  const { address, reported, listening } = await serve(
    t,
    { protocols: [jsonRpc()], cors: { origins: ["https://a.example"], credentials: true } },
    implement(Freight, {
      ...freight(),
      echo(call, message) {
        serverCall(call)!.responseHeaders.set("access-control-allow-credentials", "true");
        return message;
      },
    }),
  );
  const connection = jsonRpcClient({ http2: true }).connect(address);
  t.after(() => connection.close());
  const calls = stub(Freight, (method) => connection.endpoint(method));
  const ctx = withTimeout(background(), 5000);
  t.after(() => ctx.cancel());
  const fromPage = withHeaders(ctx, { origin: "https://a.example" });
  await assert.rejects(calls.echo(fromPage, { text: "" }), { code: "unavailable" });
  assert.match((reported[0]!.cause as Error).message, /access-control-allow-credentials/);
  assert.deepEqual(await calls.sum(fromPage, { a: 1, b: 2 }), { v: 3 });
  assert.equal(listening.inFlight, 0);
});
