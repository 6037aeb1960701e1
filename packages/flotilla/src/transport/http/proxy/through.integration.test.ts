// What other protocols say to each other passes a proxy as it is: gRPC's interoperability cases and Connect's streams, and TLS at either end.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { skipWithout } from "../../../../../../scripts/servers.ts";
import { background, withTimeout } from "../../../context/with.ts";
import type { Client } from "../../../contract/contract.ts";
import type { Connector } from "../../../endpoint/transport.ts";
import { channel } from "../../../service/channel.ts";
import { implement } from "../../../service/implement.ts";
import { stub } from "../../../service/stub.ts";
import { failureOf, readAll, streamOf } from "../../../testing/transport-bed.ts";
import { grpcClient } from "../../grpc/client.ts";
import { grpc } from "../../grpc/server.ts";
import { type CallFailed, type InteropClient, interopCases } from "../../grpc/test-fixtures/interop-cases.ts";
import { connectClient } from "../../grpc/test-fixtures/interop-connect.ts";
import { TestContract, testService } from "../../grpc/test-fixtures/interop-flotilla.ts";
import { grpcJsClient, grpcJsServer } from "../../grpc/test-fixtures/interop-grpc-js.ts";
import { httpClient } from "../client.ts";
import type { HttpClientOptions } from "../client-options.ts";
import { nothingEscapes, serve } from "../test-fixtures/bed.ts";
import { type Certificate, certificate } from "../test-fixtures/certificate.ts";
import { curl } from "../test-fixtures/curl.ts";
import { Freight, freight } from "../test-fixtures/freight.ts";
import { proxy } from "./proxy.ts";
import { proxyClient } from "./proxy-client.ts";
import { type Proxied, proxied, rawUpstream, upstream } from "./test-fixtures/proxied.ts";

nothingEscapes();

const skip = await skipWithout("openssl");
const secret: Certificate = skip === false ? await certificate() : { key: "", cert: "" };

/** A server of the cases, over HTTP/2; its address, and a scheme to find it under. */
type Serve = (t: TestContext) => Promise<{ readonly to: string; readonly scheme: string }>;

const flotilla: Serve = async (t) => {
  const listening = await grpc().listen([implement(TestContract, testService)], background());
  t.after(() => listening.close());
  return { to: listening.address, scheme: "grpc" };
};

const grpcJs: Serve = async (t) => {
  const server = await grpcJsServer();
  t.after(() => server.close());
  return { to: `http://127.0.0.1:${server.port}`, scheme: "http" };
};

async function front(t: TestContext, from: Serve, more: Omit<Proxied, "to"> = {}): Promise<string> {
  const { to, scheme } = await from(t);
  const { address } = await proxied(t, { to: [to], client: { http2: true, scheme }, ...more });
  return new URL(address).host;
}

function grpcJsAt(t: TestContext, address: string, ca?: string): InteropClient {
  const client = grpcJsClient(address, ca);
  t.after(() => client.close());
  return client;
}

const ways: Readonly<Record<string, (t: TestContext) => Promise<InteropClient>>> = {
  "grpc-js to Flotilla": async (t) => grpcJsAt(t, await front(t, flotilla)),
  "grpc-js to grpc-js": async (t) => grpcJsAt(t, await front(t, grpcJs)),
  "grpc-js with TLS to Flotilla": async (t) =>
    grpcJsAt(t, await front(t, flotilla, { http: { tls: secret } }), secret.cert),
  "connect-node to Flotilla": async (t) =>
    connectClient(createGrpcTransport({ baseUrl: `http://${await front(t, flotilla)}` })),
};

for (const [name, open] of Object.entries(ways)) {
  describe(name, { skip: name.includes("TLS") && skip }, () => {
    for (const [title, run] of Object.entries(interopCases)) {
      test(title, { timeout: 20_000 }, async (t) => run(await open(t)));
    }
  });
}

test("on a port that speaks gRPC itself, a path is the proxy's if it comes first", async (t) => {
  const { to, scheme } = await flotilla(t);
  const over = channel({ discover: [to], transport: proxyClient({ http2: true, scheme }) });
  t.after(() => over.close());
  const path = "/grpc.testing.TestService";
  for (const [protocols, passes] of [
    [[proxy({ over, path }), grpc()], true],
    [[grpc(), proxy({ over, path })], false],
  ] as const) {
    const { port } = await serve(t, { protocols }, implement(Freight, freight()));
    const call = interopCases["large_unary"]!(grpcJsAt(t, `127.0.0.1:${port}`));
    if (passes) await call;
    else await assert.rejects(call);
  }
});

test("gRPC-Web passes to a port of HTTP", async (t) => {
  const inner = await serve(t, { protocols: [grpc()] }, implement(TestContract, testService));
  const { address } = await proxied(t, { to: [inner.address] });
  const client = connectClient(createGrpcWebTransport({ baseUrl: address, httpVersion: "1.1" }));
  for (const title of ["empty_unary", "large_unary", "server_streaming", "special_status_message"]) {
    await interopCases[title]!(client);
  }
});

test("who speaks gRPC, or gRPC-Web, is told of failures as those tell of them", async (t) => {
  const failures = async (more: Omit<Proxied, "to">, to: readonly string[]): Promise<unknown[]> => {
    const { port } = await proxied(t, { to, ...more });
    const web = (httpVersion: "1.1" | "2") =>
      connectClient(createGrpcWebTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion }));
    const clients = [grpcJsAt(t, `127.0.0.1:${port}`), web("1.1"), web("2")];
    const calls = clients.map(async (client) => client.unaryCall({ payload: { body: new Uint8Array(9) } }));
    const outcomes = await Promise.allSettled(calls);
    return outcomes.map((outcome) => {
      const { status, message } = (outcome as PromiseRejectedResult).reason as CallFailed;
      return [status, message];
    });
  };
  const silent = await rawUpstream(t, () => {});
  const late = [4, "upstream has not answered in time"];
  assert.deepEqual(await failures({ proxy: { timeoutMs: 50 }, client: { http2: true } }, [silent.address]), [
    late,
    late,
    late,
  ]);
  const away = [14, "upstream cannot take the request now"];
  assert.deepEqual(await failures({}, []), [away, away, away]);
});

for (const http2 of [false, true]) {
  test(`Connect passes, streams and errors too: HTTP/${http2 ? "2" : "1.1"} all the way`, async (t) => {
    const inner = await serve(t, {}, implement(Freight, freight()));
    const { address } = await proxied(t, { to: [inner.address], client: { http2 } });
    const options: HttpClientOptions = { http2 };
    const connection = httpClient(options).connect(address);
    t.after(() => connection.close());
    const client = stub(Freight, (method) => connection.endpoint(method));
    const ctx = withTimeout(background(), 10_000);
    assert.deepEqual(await client.sum(ctx, { a: 1, b: 2 }), { v: 3 });
    await assert.rejects(client.fail(ctx, { code: "not_found", message: "as asked" }), {
      code: "not_found",
      message: "as asked",
    });
    const numbers: number[] = [];
    for await (const { n } of client.count(ctx, { to: 100 })) numbers.push(n);
    assert.equal(numbers.length, 100);
    const total = await client.total(
      ctx,
      (async function* () {
        for (let n = 1; n <= 10; n++) yield { n };
      })(),
    );
    assert.deepEqual(total, { sum: 55, count: 10 });
    if (http2) {
      let answers = 0;
      const asks = (async function* () {
        for (let n = 0; n < 5; n++) {
          yield { text: `${n}` };
          // Each is answered before the next is sent.
          while (answers <= n) await new Promise((resolve) => setImmediate(resolve));
        }
      })();
      for await (const { text } of client.chat(ctx, asks)) assert.match(text, new RegExp(`${answers++}`));
      assert.equal(answers, 5);
    }
    ctx.cancel();
  });
}

test("an upstream with TLS is asked by its own name, and must have the certificate", { skip }, async (t) => {
  const inner = await serve(t, { tls: secret }, implement(Freight, freight()));
  const trusting = await proxied(t, { to: [inner.address], client: { tls: { ca: secret.cert } } });
  const sum = (address: string): Promise<Response> =>
    fetch(`${address}/test.v1.Freight/sum`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"a":1,"b":2}',
    });
  assert.deepEqual(await (await sum(trusting.address)).json(), { v: 3 });
  const wary = await proxied(t, { to: [inner.address] });
  assert.equal((await sum(wary.address)).status, 502);
});

test("curl: HTTP/1.1 and HTTP/2, a body that waits, HEAD, a compressed answer", {
  skip: await skipWithout("curl"),
}, async (t) => {
  const { address } = await upstream(t, async (req, res) => {
    let bytes = 0;
    for await (const chunk of req) bytes += (chunk as Buffer).byteLength;
    res.writeHead(200, { "x-bytes": bytes });
    res.end(req.method === "HEAD" ? undefined : `${req.method} ${bytes}`);
  });
  const { address: edge } = await proxied(t, { to: [address] });
  const body = "x".repeat(100_000);
  for (const version of ["--http1.1", "--http2-prior-knowledge"]) {
    const posted = await curl(version, "--data-binary", body, "-H", "expect: 100-continue", `${edge}/`);
    assert.equal(posted.body, "POST 100000");
    assert.equal((await curl(version, "--head", `${edge}/`)).headers["x-bytes"], "0");
    const chunked = version === "--http1.1" ? ["-H", "transfer-encoding: chunked"] : [];
    assert.equal((await curl(version, ...chunked, "--data-binary", "abc", `${edge}/`)).body, "POST 3");
  }
  // An offer that a server may pass over.
  assert.equal((await curl("--http2", `${edge}/`)).body, "GET 0");
});

test("what cannot pass to an upstream over HTTP/1.1 is refused by the proxy, which says what is missing", async (t) => {
  const inner = await serve(t, { protocols: [grpc()] }, implement(Freight, freight()));
  const { address } = await proxied(t, { to: [inner.address] });
  const calls = (connector: Connector): Client<typeof Freight> => {
    const connection = connector.connect(address.replace("http", connector.protocol));
    t.after(() => connection.close());
    return stub(Freight, (method) => connection.endpoint(method));
  };
  const told = async (call: Promise<unknown>): Promise<unknown> => {
    const { code, message } = await failureOf(call);
    return [code, message];
  };
  const ctx = withTimeout(background(), 10_000);
  const chat = (client: Client<typeof Freight>): Promise<unknown> =>
    readAll(client.chat(ctx, streamOf([{ text: "hello" }])));
  const needs = "over HTTP/2 only: proxyClient({ http2: true }) speaks it upstream";
  const byGrpc = calls(grpcClient());
  assert.deepEqual(await told(byGrpc.sum(ctx, { a: 1, b: 2 })), ["unimplemented", `gRPC is carried ${needs}`]);
  assert.deepEqual(await told(chat(byGrpc)), ["unimplemented", `gRPC is carried ${needs}`]);
  const byConnect = calls(httpClient({ http2: true }));
  assert.deepEqual(await byConnect.sum(ctx, { a: 1, b: 2 }), { v: 3 });
  assert.deepEqual(await told(chat(byConnect)), ["unimplemented", `the upstream takes this request ${needs}`]);
  ctx.cancel();
});
