// TLS: the version of HTTP by ALPN, and who is trusted.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createSecureServer, type ServerHttp2Session } from "node:http2";
import { createServer } from "node:https";
import { type AddressInfo, connect as connectPlain } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createConnectTransport } from "@connectrpc/connect-node";
import { skipWithout } from "../../../../../scripts/servers.ts";
import { Echo } from "../../../test/gen/test/v1/echo_pb.ts";
import { background } from "../../context/with.ts";
import { implement } from "../../service/implement.ts";
import { stub } from "../../service/stub.ts";
import { httpClient } from "./client.ts";
import type { HttpClientOptions } from "./client-options.ts";
import type { HttpServerOptions } from "./options.ts";
import { nothingEscapes, serve } from "./test-fixtures/bed.ts";
import { surf } from "./test-fixtures/browser.ts";
import { type Certificate, certificate } from "./test-fixtures/certificate.ts";
import { collect, numbers, sentences } from "./test-fixtures/connect.ts";
import { EchoContract, EchoService } from "./test-fixtures/echo.ts";
import { EchoPeer } from "./test-fixtures/echo-peer.ts";

nothingEscapes();

const skip = await skipWithout("openssl");
const skipBrowser = await skipWithout("openssl", "chromium");
const { key, cert }: Certificate = skip === false ? await certificate() : { key: "", cert: "" };
const ctx = background();

async function serveTls(t: TestContext, options: HttpServerOptions = {}) {
  const service = new EchoService();
  return { service, ...(await serve(t, { tls: { key, cert }, ...options }, implement(EchoContract, service))) };
}

function echoAt(t: TestContext, address: string, options: HttpClientOptions) {
  const connection = httpClient(options).connect(address);
  t.after(() => connection.close());
  return stub(EchoContract, (method) => connection.endpoint(method));
}

/** The protocol that a server chooses of those offered. */
async function chosen(port: number, offered: string[]): Promise<string | false | null> {
  const socket: TLSSocket = connect({ port, host: "127.0.0.1", ca: cert, ALPNProtocols: offered });
  await once(socket, "secureConnect");
  const { alpnProtocol } = socket;
  socket.destroy();
  return alpnProtocol;
}

/** All that a server says to a request, until it closes the connection. */
async function said(port: number, text: string): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", ca: cert, ALPNProtocols: ["http/1.1"] });
  socket.write(text);
  let answer = "";
  for await (const chunk of socket.setEncoding("utf8")) answer += chunk as string;
  return answer;
}

describe("TLS", { skip }, () => {
  test("ALPN chooses HTTP/2 where both speak it", async (t) => {
    const both = await serveTls(t);
    assert.match(both.address, /^https:/);
    assert.equal(await chosen(both.port, ["h2", "http/1.1"]), "h2");
    assert.equal(await chosen(both.port, ["http/1.1"]), "http/1.1");
    const old = await serveTls(t, { http2: false });
    assert.equal(await chosen(old.port, ["h2", "http/1.1"]), "http/1.1");
  });

  for (const http2 of [false, true]) {
    const version = http2 ? "HTTP/2" : "HTTP/1.1";

    test(`our client and our server over ${version}`, async (t) => {
      const { address } = await serveTls(t);
      const echo = echoAt(t, address, { http2, tls: { ca: cert } });
      assert.equal((await echo.say(ctx, { sentence: "a" })).sentence, "a");
      assert.equal((await collect(echo.count(ctx, { to: 3 }))).length, 3);
      assert.equal((await echo.sum(ctx, numbers(1, 2))).sum, 3n);
      if (http2) assert.equal((await collect(echo.chat(ctx, sentences("a", "b")))).length, 2);
    });

    test(`connect-node's client over ${version}`, async (t) => {
      const { address } = await serveTls(t);
      const nodeOptions = { ca: cert };
      const httpVersion = http2 ? "2" : "1.1";
      const echo = createClient(Echo, createConnectTransport({ baseUrl: address, httpVersion, nodeOptions }));
      assert.equal((await echo.say({ sentence: "a" })).sentence, "a");
      assert.equal((await collect(echo.count({ to: 3 }))).length, 3);
      assert.equal((await echo.sum(numbers(1, 2))).sum, 3n);
      if (http2) assert.equal((await collect(echo.chat(sentences("a", "b")))).length, 2);
    });

    test(`connect-node's server over ${version}`, async (t) => {
      const handler = connectNodeAdapter({ routes: (router) => void router.service(Echo, new EchoPeer()) });
      const server = http2 ? createSecureServer({ key, cert }, handler) : createServer({ key, cert }, handler);
      const sessions = new Set<ServerHttp2Session>();
      server.on("session", (session: ServerHttp2Session) => void sessions.add(session));
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      t.after(() => {
        for (const session of sessions) session.destroy();
        if ("closeAllConnections" in server) server.closeAllConnections();
        server.close();
      });
      const { port } = server.address() as AddressInfo;
      const echo = echoAt(t, `https://127.0.0.1:${port}`, { http2, tls: { ca: cert } });
      assert.equal((await echo.say(ctx, { sentence: "a" })).sentence, "a");
      assert.equal((await collect(echo.count(ctx, { to: 3 }))).length, 3);
    });

    test(`a server that is not trusted gets no call over ${version}`, async (t) => {
      const { address, service } = await serveTls(t);
      const echo = echoAt(t, address, { http2 });
      await assert.rejects(async () => echo.say(ctx, { sentence: "secret" }), {
        code: "unavailable",
        message: /self[- ]signed certificate/,
      });
      assert.equal(service.ctx, undefined);
    });

    test(`a server that wants a certificate of its callers, over ${version}`, async (t) => {
      const tls = { key, cert, ca: cert, requestCert: true, rejectUnauthorized: true };
      const { address } = await serveTls(t, { tls });
      const known = echoAt(t, address, { http2, tls: { ca: cert, key, cert } });
      assert.equal((await known.say(ctx, { sentence: "a" })).sentence, "a");
      const stranger = echoAt(t, address, { http2, tls: { ca: cert } });
      await assert.rejects(async () => stranger.say(ctx, { sentence: "a" }), { code: "unavailable" });
    });

    test(`a server with TLS called in clear text, and the other way round, over ${version}`, async (t) => {
      const secure = await serveTls(t);
      const plain = await serve(t, {}, implement(EchoContract, new EchoService()));
      for (const address of [`http://127.0.0.1:${secure.port}`, `https://127.0.0.1:${plain.port}`]) {
        const echo = echoAt(t, address, { http2, tls: { ca: cert } });
        await assert.rejects(async () => echo.say(ctx, {}), { code: "unavailable" }, address);
      }
    });
  }

  for (const http2 of [true, false]) {
    const name = http2 ? "both versions" : "HTTP/1.1 alone";

    test(`limits hold for HTTP/1.1 on a server of ${name}`, { timeout: 10_000 }, async (t) => {
      const { port } = await serveTls(t, { http2, headersTimeoutMs: 300, maxHeaderBytes: 2000 });
      assert.match(await said(port, "GET / HTTP/1.1\r\nhost: a\r\nx: "), /^(?:HTTP\/1.1 408 |$)/);
      const long = `GET / HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(3000)}\r\n\r\n`;
      assert.match(await said(port, long), /^HTTP\/1.1 431 /);
    });

    test(`an idle connection is closed in time by a server of ${name}`, { timeout: 10_000 }, async (t) => {
      const { port } = await serveTls(t, { http2, idleTimeoutMs: 300 });
      const started = performance.now();
      assert.match(await said(port, "GET /none HTTP/1.1\r\nhost: a\r\n\r\n"), /^HTTP\/1.1 404 /);
      assert.ok(performance.now() - started < 4000, "it would be 5 s by Node's own default");
    });

    test(`half a request and half a handshake do not hold up the close of a server of ${name}`, {
      timeout: 10_000,
    }, async (t) => {
      const { port, listening } = await serveTls(t, { http2 });
      const half = connect({ port, host: "127.0.0.1", ca: cert, ALPNProtocols: ["http/1.1"] });
      const silent = connectPlain(port, "127.0.0.1");
      for (const socket of [half, silent]) socket.on("error", () => {});
      t.after(() => void (half.destroy(), silent.destroy()));
      await once(half, "secureConnect");
      half.write("GET / HTTP/1.1\r\nhost: a\r\n");
      // Its answer shows that the server has seen what came before it.
      const echo = echoAt(t, `https://127.0.0.1:${port}`, { tls: { ca: cert } });
      await echo.say(ctx, {});
      await listening.close();
    });
  }

  test("Chromium speaks HTTP/2", { skip: skipBrowser, timeout: 20_000 }, async (t) => {
    const surfer = await surf();
    t.after(() => surfer[Symbol.asyncDispose]());
    const { address } = await serveTls(t, { cors: { origins: [surfer.origin] } });
    const devtools = await surfer.page.context().newCDPSession(surfer.page);
    const protocols: string[] = [];
    devtools.on("Network.responseReceived", ({ response }) => void protocols.push(response.protocol ?? ""));
    await devtools.send("Network.enable");
    const got = await surfer.page.evaluate(async (baseUrl) => {
      const echo = kit.echo({ baseUrl });
      const numbers: number[] = [];
      for await (const { number } of echo.count({ to: 3 })) numbers.push(number);
      return [(await echo.say({ sentence: "a" })).sentence, numbers];
    }, address);
    assert.deepEqual(got, ["a", [1, 2, 3]]);
    assert.ok(protocols.includes("h2"), protocols.join());
    assert.ok(!protocols.includes("http/1.1"), protocols.join());
  });
});
