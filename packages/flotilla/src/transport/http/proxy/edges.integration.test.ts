import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import { connect } from "node:http2";
import { test } from "node:test";
import { skipWithout } from "../../../../../../scripts/servers.ts";
import type { Middleware } from "../../../endpoint/endpoint.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { serverCall } from "../../../metadata/call.ts";
import { withPriority } from "../../../metadata/priority.ts";
import { channel } from "../../../service/channel.ts";
import { nothingEscapes, serve } from "../test-fixtures/bed.ts";
import { certificate } from "../test-fixtures/certificate.ts";
import { curl } from "../test-fixtures/curl.ts";
import { RawConnection } from "../test-fixtures/raw.ts";
import { proxy } from "./proxy.ts";
import { proxyClient } from "./proxy-client.ts";
import { proxied, type Upstream, upstream } from "./test-fixtures/proxied.ts";

nothingEscapes();

const skip = await skipWithout("openssl", "curl");

/** Answers with what it has received. */
function mirror(t: Parameters<typeof upstream>[0], headers: Record<string, string> = {}): Promise<Upstream> {
  return upstream(t, (req, res) => {
    res.writeHead(200, headers);
    res.end(JSON.stringify({ url: req.url, headers: req.headers }));
  });
}

async function seenBy(answer: Response): Promise<IncomingHttpHeaders> {
  return ((await answer.json()) as { headers: IncomingHttpHeaders }).headers;
}

test("TRACE and CONNECT are not passed on; OPTIONS goes as far as Max-Forwards lets it", async (t) => {
  const { address } = await mirror(t);
  const { port, address: front } = await proxied(t, { to: [address] });
  const client = await RawConnection.open(port);
  client.send("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n");
  assert.equal((await client.answer())?.status, 405);
  client.send("OPTIONS / HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n");
  assert.equal((await client.answer())?.status, 204);
  client.send("OPTIONS /x HTTP/1.1\r\nHost: x\r\nMax-Forwards: 3\r\n\r\n");
  const passed = JSON.parse((await client.answer())!.body) as { url: string; headers: IncomingHttpHeaders };
  assert.equal(passed.headers["max-forwards"], "2");
  // Of all there is, that is no path: nobody is asked.
  client.send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
  assert.equal((await client.answer())?.status, 404);
  client.send("CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n");
  await client.gone;
  const session = connect(front);
  const stream = session.request({ ":method": "CONNECT", ":authority": "a:1" });
  const status = await new Promise((resolve) => {
    stream.on("response", (headers) => resolve(headers[":status"]));
    stream.on("error", resolve);
  });
  assert.equal(status, 405);
  session.destroy();
});

test("what is refused over HTTP/2 says nothing of connections; a function that throws is told as our own fault", async (t) => {
  const { address } = await mirror(t);
  const { address: front } = await proxied(t, { to: [address], proxy: { path: "/a" } });
  const session = connect(front);
  const stream = session.request({ ":path": "/a/../b" });
  const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];
  assert.equal(headers[":status"], 400);
  assert.equal(headers["connection"], undefined);
  session.destroy();
  const { address: wrong, reported } = await proxied(t, {
    to: [address],
    proxy: {
      trustForwarded() {
        throw new Error("no list of proxies");
      },
    },
  });
  assert.equal((await fetch(wrong)).status, 500);
  assert.match(String(reported[0]?.cause), /no list of proxies/);
});

test("a request that goes in circles is ended", async (t) => {
  const over = channel({ discover: { watch: (_service, observer) => watch(observer) }, transport: proxyClient() });
  let self = "";
  function watch(observer: { update(instances: readonly { id: string; address: string }[]): void }): { stop(): void } {
    queueMicrotask(function tell() {
      if (self === "") setImmediate(tell);
      else observer.update([{ id: "self", address: self }]);
    });
    return { stop() {} };
  }
  t.after(() => over.close());
  const { address } = await serve(t, { protocols: [proxy({ over, via: "loop" })] });
  self = address;
  const answer = await fetch(address);
  assert.equal(answer.status, 508);
});

test("what the listener has to say on CORS goes with an answer that says nothing of it", async (t) => {
  const cors = { origins: ["https://app.example"] };
  const headers = { origin: "https://app.example" };
  const silent = await mirror(t);
  const { address } = await proxied(t, { to: [silent.address], http: { cors } });
  assert.equal((await fetch(address, { headers })).headers.get("access-control-allow-origin"), "https://app.example");
  const speaking = await mirror(t, { "access-control-allow-origin": "*" });
  const own = await proxied(t, { to: [speaking.address], http: { cors } });
  assert.equal((await fetch(own.address, { headers })).headers.get("access-control-allow-origin"), "*");
  const nobody = await proxied(t, { to: [], http: { cors } });
  const refused = await fetch(nobody.address, { headers });
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("access-control-allow-origin"), "https://app.example");
});

test("middlewares stand around requests: they refuse, and add to answers", async (t) => {
  const { address } = await mirror(t);
  const guard: Middleware = (next, method) =>
    async function guarded(ctx, request) {
      const call = serverCall(ctx)!;
      if (call.headers.get("authorization") === undefined) {
        throw new ServiceError("unauthenticated", "who is there?", { retry: { afterMs: 1500 } });
      }
      call.responseHeaders.set("x-method", method.procedure);
      return next(ctx, request);
    };
  const { address: front } = await proxied(t, { to: [address], proxy: { use: [guard], service: "shop" } });
  const refused = await fetch(front, { method: "POST", body: "x" });
  assert.equal(refused.status, 401);
  assert.equal(refused.headers.get("retry-after"), "2");
  assert.equal(((await refused.json()) as { detail: string }).detail, "who is there?");
  const allowed = await fetch(front, { method: "PATCH", headers: { authorization: "me" } });
  assert.equal(allowed.status, 200);
  assert.equal(allowed.headers.get("x-method"), "shop/PATCH");
});

test("a middleware decides how much the priority of strangers counts", async (t) => {
  const { address } = await mirror(t);
  const plain: Middleware = (next) =>
    function levelled(ctx, request) {
      return next(withPriority(ctx, "default"), request);
    };
  const headers = { "x-request-priority": "critical" };
  for (const [use, expected] of [
    [[], "critical"],
    [[plain], undefined],
  ] as const) {
    const { address: front } = await proxied(t, { to: [address], proxy: { use } });
    assert.equal((await seenBy(await fetch(front, { headers })))["x-request-priority"], expected);
  }
});

test("with TLS the upstream hears that it was so, whatever the version of HTTP", { skip }, async (t) => {
  const { address } = await mirror(t);
  const secret = await certificate();
  const { address: front } = await proxied(t, { to: [address], http: { tls: secret } });
  for (const version of ["--http1.1", "--http2"]) {
    const { body } = await curl(version, "--insecure", front);
    const { headers } = JSON.parse(body) as { headers: IncomingHttpHeaders };
    assert.equal(headers["x-forwarded-proto"], "https", version);
    assert.match(String(headers["forwarded"]), /proto=https/);
  }
});

test("who speaks Connect is told of failures as Connect tells of them", async (t) => {
  const { address } = await proxied(t, { to: [] });
  const answer = await fetch(`${address}/a.v1.B/c`, {
    method: "POST",
    headers: { "content-type": "application/json", "connect-protocol-version": "1" },
    body: "{}",
  });
  assert.equal(answer.headers.get("content-type"), "application/json");
  assert.equal(((await answer.json()) as { code: string }).code, "unavailable");
});

test("the upstream's own name, and what a trusted proxy says", async (t) => {
  const { address } = await mirror(t);
  const own = await proxied(t, { to: [address], proxy: { host: "upstream" } });
  assert.equal((await seenBy(await fetch(own.address))).host, new URL(address).host);
  const asked: string[] = [];
  const trusting = await proxied(t, {
    to: [address],
    proxy: {
      trustForwarded(peer) {
        asked.push(peer);
        return true;
      },
    },
  });
  const seen = await seenBy(await fetch(trusting.address, { headers: { "x-forwarded-for": "192.0.2.9" } }));
  assert.equal(seen["x-forwarded-for"], "192.0.2.9, 127.0.0.1");
  assert.deepEqual(asked, ["127.0.0.1"]);
});
