import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect, type IncomingHttpHeaders } from "node:http2";
import { test } from "node:test";
import { channel } from "../../../service/channel.ts";
import { implement } from "../../../service/implement.ts";
import { nothingEscapes, serve } from "../test-fixtures/bed.ts";
import { Freight, freight } from "../test-fixtures/freight.ts";
import { RawConnection } from "../test-fixtures/raw.ts";
import { proxy } from "./proxy.ts";
import { proxyClient } from "./proxy-client.ts";
import { proxied, rawUpstream, upstream } from "./test-fixtures/proxied.ts";

nothingEscapes();

async function textOf(message: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of message) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

test("a request passes with its verb, target, fields and body, and the answer comes back whole", async (t) => {
  const { address } = await upstream(t, async (req, res) => {
    const body = await textOf(req);
    res.writeHead(201, "Made", { "x-answer": "yes", "set-cookie": ["a=1", "b=2"] });
    res.end(JSON.stringify({ verb: req.method, url: req.url, headers: req.headers, body }));
  });
  const { port } = await proxied(t, { to: [address] });
  const answer = await fetch(`http://127.0.0.1:${port}/a%2Fb/../c//d;x?q=%20&r=1`.replace("/../", "/%2e%2e/"), {
    method: "POST",
    headers: { "x-own": "1", cookie: "k=v" },
    body: "some text",
  });
  assert.equal(answer.status, 201);
  assert.equal(answer.headers.get("x-answer"), "yes");
  assert.deepEqual(answer.headers.getSetCookie(), ["a=1", "b=2"]);
  const seen = (await answer.json()) as { verb: string; url: string; headers: Record<string, string>; body: string };
  assert.equal(seen.verb, "POST");
  assert.equal(seen.body, "some text");
  assert.equal(seen.headers["x-own"], "1");
  assert.equal(seen.headers["cookie"], "k=v");
  assert.equal(seen.headers["content-length"], "9");
  assert.equal(seen.headers["via"], "1.1 flotilla");
  assert.equal(seen.headers["x-forwarded-for"], "127.0.0.1");
  assert.equal(seen.headers["x-forwarded-proto"], "http");
  assert.equal(seen.headers["x-forwarded-host"], `127.0.0.1:${port}`);
  assert.equal(seen.headers["host"], `127.0.0.1:${port}`);
  assert.equal(seen.headers["forwarded"], `for=127.0.0.1;host="127.0.0.1:${port}";proto=http`);
});

test("connections to an upstream are used again, whatever the verb", async (t) => {
  const { address, sockets } = await upstream(t, (req, res) => {
    req.resume();
    req.on("end", () => res.end("done"));
  });
  const { port } = await proxied(t, { to: [address], client: { maxConnections: 1 } });
  for (const init of [{}, { method: "POST", body: "x" }, { method: "PUT", body: "y" }, { method: "DELETE" }, {}]) {
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/`, init)).text(), "done");
  }
  assert.equal(sockets.length, 1);
});

test("nothing of a path is normalised", async (t) => {
  const { address } = await upstream(t, (req, res) => res.end(req.url));
  const { port } = await proxied(t, { to: [address] });
  for (const target of ["/a%2Fb", "/../x", "/a/%2e%2e/b", "//host/x", "/a//b/", "/%zz", "/a?b?c=/../", "/a;b=c/d"]) {
    const client = await RawConnection.open(port);
    client.send(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.equal((await client.answer())?.body, target);
    client.destroy();
  }
});

test("a prefix is taken before the listener's own services, the rest falls to them", async (t) => {
  const { address } = await upstream(t, (req, res) => res.end(`upstream ${req.url}`));
  const over = channel({ discover: [address], transport: proxyClient() });
  t.after(() => over.close());
  const { port } = await serve(
    t,
    {
      protocols: [proxy({ over, path: "/orders", rewrite: "/" }), proxy({ over, path: "/kept/" }), proxy({ over })],
    },
    implement(Freight, freight()),
  );
  const get = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
  assert.equal(await get("/orders/7?x=1"), "upstream /7?x=1");
  assert.equal(await get("/orders"), "upstream /");
  assert.equal(await get("/kept/7"), "upstream /kept/7");
  assert.equal(await get("/ordersome"), "upstream /ordersome");
  const own = await fetch(`http://127.0.0.1:${port}/test.v1.Freight/sum`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"a":1,"b":2}',
  });
  assert.deepEqual(await own.json(), { v: 3 });
});

test("what comes over HTTP/2 goes on over HTTP/1.1: cookies in one, trailers after the body, no field of the connection", async (t) => {
  const { address } = await upstream(t, async (req, res) => {
    const body = await textOf(req);
    res.writeHead(200, { trailer: "x-sum", "x-cookie": req.headers.cookie!, "x-host": req.headers.host! });
    res.write(`${req.httpVersion} ${body}`);
    res.addTrailers({ "x-sum": "7" });
    res.end();
  });
  const { address: front } = await proxied(t, { to: [address] });
  const session = connect(front);
  t.after(() => session.close());
  const stream = session.request({
    ":method": "POST",
    ":path": "/x",
    ":authority": "shop.example",
    cookie: ["a=1", "b=2"],
  });
  const trailers = once(stream, "trailers");
  stream.write("a");
  stream.end("b");
  const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];
  assert.equal(await textOf(stream), "1.1 ab");
  assert.equal(headers[":status"], 200);
  assert.equal(headers["x-cookie"], "a=1; b=2");
  assert.equal(headers["x-host"], "shop.example");
  assert.equal(headers["transfer-encoding"], undefined);
  const [received] = (await trailers) as [IncomingHttpHeaders];
  assert.equal(received["x-sum"], "7");
});

test("trailers, early hints and chunks reach a client of HTTP/1.1", async (t) => {
  const { address } = await rawUpstream(t, (socket) => {
    socket.write("HTTP/1.1 102 Processing\r\n\r\n");
    socket.write("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: x-hop\r\nx-hop: 1\r\n\r\n");
    socket.write(
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n2\r\nok\r\n0\r\nx-end: 1\r\nconnection: x\r\n\r\n",
    );
  });
  const { port } = await proxied(t, { to: [address] });
  const client = await RawConnection.open(port);
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  while (!client.pending.includes("x-end: 1\r\n\r\n")) await once(client.socket, "data");
  const [hints, final] = client.pending.split("\r\n\r\n");
  assert.match(hints!, /^HTTP\/1\.1 103 Early Hints\r\n/i);
  assert.match(hints!, /link: <\/a\.css>; rel=preload/i);
  assert.doesNotMatch(hints!, /x-hop/i);
  assert.match(final!, /^HTTP\/1\.1 200 OK/);
  assert.match(client.pending, /2\r\nok\r\n0\r\nx-end: 1\r\n\r\n$/);
  client.destroy();
});

test("answers without a body stay so: HEAD, 204, 304", async (t) => {
  const { address } = await upstream(t, (req, res) => {
    const status = Number(req.url!.slice(1));
    res.writeHead(status, status === 204 ? { "x-a": "1" } : { etag: '"1"', "content-length": "5" });
    res.end(req.method === "HEAD" || status !== 200 ? undefined : "12345");
  });
  const { port } = await proxied(t, { to: [address] });
  const client = await RawConnection.open(port);
  for (const [verb, status, length] of [
    ["HEAD", 200, "5"],
    ["GET", 204, undefined],
    ["GET", 304, "5"],
    ["GET", 200, "5"],
  ] as const) {
    client.send(`${verb} /${status} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const answer = await client.answer(verb === "HEAD");
    assert.equal(answer?.status, status);
    assert.equal(answer.headers.get("content-length"), length);
    assert.equal(answer.body, verb === "GET" && status === 200 ? "12345" : "");
  }
  client.destroy();
});

test("a client of HTTP/1.0 gets the answer up to the end of the connection, without trailers", async (t) => {
  const { address } = await upstream(t, (_req, res) => {
    res.writeHead(200, { trailer: "x-sum" });
    res.write("in two ");
    res.addTrailers({ "x-sum": "7" });
    res.end("parts");
  });
  const { port } = await proxied(t, { to: [address] });
  const client = await RawConnection.open(port);
  client.send("GET / HTTP/1.0\r\n\r\n");
  await client.gone;
  assert.match(client.pending, /\r\n\r\nin two parts$/);
  assert.doesNotMatch(client.pending, /transfer-encoding|x-sum/i);
});

test("an answer streams: each part is there when it was sent, and so is each part of a request", async (t) => {
  const { address } = await upstream(t, (req, res) => {
    res.writeHead(200, { "content-type": "text/event-stream" });
    res.flushHeaders();
    req.on("data", (chunk: Buffer) => res.write(`got ${chunk.toString()}`));
    req.on("end", () => res.end("bye"));
  });
  const { port } = await proxied(t, { to: [address] });
  const client = request({ port, method: "POST", path: "/", headers: { "content-type": "text/plain" } });
  client.write("0");
  const [answer] = (await once(client, "response")) as [IncomingMessage];
  answer.setEncoding("utf8");
  for (const part of ["1", "2", "3"]) {
    client.write(part);
    let seen = "";
    while (!seen.endsWith(`got ${part}`)) seen += (await once(answer, "data"))[0] as string;
  }
  client.end();
  assert.equal((await once(answer, "data"))[0], "bye");
});

test("with Expect: 100-continue the client is told to go on once an upstream takes the body, and not when none does", async (t) => {
  const { address, sockets } = await upstream(t, async (req, res) => {
    assert.equal(req.headers.expect, undefined);
    res.end(await textOf(req));
  });
  const { port } = await proxied(t, { to: [address] });
  const client = await RawConnection.open(port);
  client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  assert.equal((await client.answer())?.status, 100);
  assert.equal(sockets.length, 1);
  client.send("body");
  assert.equal((await client.answer())?.body, "body");
  client.destroy();

  for (const path of ["/", "/a"]) {
    const nobody = await proxied(t, { to: [], proxy: { path }, channel: { retry: false } });
    const untold = await RawConnection.open(nobody.port);
    untold.send(`POST ${path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n`);
    const final = await untold.answer();
    assert.equal(final?.status, 503);
    assert.equal(final.headers.get("connection"), "close");
    untold.destroy();
  }
});
