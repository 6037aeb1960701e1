// What the two versions of HTTP, and node's two servers, do not agree on: neither side may break the other, or the proxy, with it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { nothingEscapes } from "../test-fixtures/bed.ts";
import { RawConnection } from "../test-fixtures/raw.ts";
import { proxied, rawUpstream, upstream } from "./test-fixtures/proxied.ts";

nothingEscapes();

/** An upstream of HTTP/2, its address. */
async function http2Upstream(
  t: TestContext,
  answer: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
): Promise<string> {
  const server = createServer();
  server.on("stream", answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly hints: readonly IncomingHttpHeaders[];
  readonly body: string;
}

async function overHttp2(t: TestContext, address: string): Promise<Answer> {
  const session = connect(address);
  t.after(() => session.destroy());
  const stream = session.request({ ":path": "/" });
  const hints: IncomingHttpHeaders[] = [];
  stream.on("headers", (headers) => hints.push(headers));
  const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];
  let body = "";
  for await (const part of stream) body += String(part);
  return { headers, hints, body };
}

test("an answer with a field twice that may stand once reaches a client of HTTP/2, with both values", async (t) => {
  for (const status of [200, 503]) {
    const { address } = await rawUpstream(t, (socket) => {
      const fields = "content-type: a\r\nContent-Type: b\r\nx: 1\r\nx: 2\r\nset-cookie: c\r\nset-cookie: d\r\n";
      socket.write(`HTTP/1.1 ${status} x\r\n${fields}content-length: 2\r\n\r\n`);
      // In a turn of its own, when the head is out.
      setImmediate(() => setImmediate(() => socket.write("ok")));
    });
    const { address: front } = await proxied(t, { to: [address] });
    const { headers, body } = await overHttp2(t, front);
    assert.equal(headers[":status"], status);
    assert.equal(headers["content-type"], "a, b");
    assert.equal(headers["x"], "1, 2");
    assert.deepEqual(headers["set-cookie"], ["c", "d"]);
    assert.equal(body, "ok");
  }
});

test("whatever fields a client of HTTP/1.1 sends, an upstream of HTTP/2 can be told", async (t) => {
  const seen: IncomingHttpHeaders[] = [];
  const address = await http2Upstream(t, (stream, headers) => {
    seen.push(headers);
    stream.respond();
    stream.end();
  });
  const { port } = await proxied(t, { to: [address], client: { http2: true } });
  const client = await RawConnection.open(port);
  const ask = async (...fields: string[]): Promise<IncomingHttpHeaders> => {
    client.send(`GET / HTTP/1.1\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`);
    assert.equal((await client.answer())?.status, 200, fields.join());
    return seen.at(-1)!;
  };
  assert.equal((await ask("Host: x", "User-Agent: a", "user-agent: b"))["user-agent"], "a, b");
  assert.equal((await ask("Host: x", "Max-Forwards: 2", "Max-Forwards: 3"))["max-forwards"], "1, 2");
  assert.equal((await ask("Host: x", "TE: trailers", "TE: gzip, trailers"))["te"], "trailers");
  const own = await ask("Host: x", "Constructor: a", "toString: b", "valueOf: c");
  assert.deepEqual([own["constructor"], own["tostring"], own["valueof"]], ["a", "b", "c"]);
  assert.equal((await ask("Host:"))[":authority"], new URL(address).host);
  client.destroy();
});

test("an upstream that ends a stream as cancelled has not spoken for the client", async (t) => {
  const address = await http2Upstream(t, (stream) => stream.close(8));
  const { address: front } = await proxied(t, { to: [address], client: { http2: true } });
  const answer = await fetch(front);
  assert.equal(answer.status, 502);
  assert.doesNotMatch(await answer.text(), /127\.0\.0\.1/);
});

test("a status that is none is an answer that is none", async (t) => {
  const { address } = await rawUpstream(
    t,
    (socket) => void socket.write("HTTP/1.1 999 x\r\ncontent-length: 0\r\n\r\n"),
  );
  const { address: front } = await proxied(t, { to: [address] });
  assert.equal((await fetch(front)).status, 502);
  assert.equal((await overHttp2(t, front)).headers[":status"], 502);
});

const links: Readonly<Record<string, readonly string[]>> = {
  "</a>; rel=preload, </b?c,d>; rel=preload": ["</a>; rel=preload", "</b?c,d>; rel=preload"],
  '</a>; title="two words"': [],
  nonsense: [],
};

test("early hints pass as far as node can write them; the answer comes in any case", async (t) => {
  for (const [link, expected] of Object.entries(links)) {
    const one = await rawUpstream(t, (socket) => {
      socket.write(`HTTP/1.1 103 x\r\nlink: ${link}\r\n\r\nHTTP/1.1 200 x\r\ncontent-length: 2\r\n\r\nok`);
    });
    const two = await http2Upstream(t, (stream) => {
      stream.additionalHeaders({ ":status": 103, link });
      stream.respond();
      stream.end("ok");
    });
    for (const [to, http2] of [
      [one.address, false],
      [two, true],
    ] as const) {
      const { address, port } = await proxied(t, { to: [to], client: { http2 } });
      const { hints, body } = await overHttp2(t, address);
      assert.deepEqual(
        hints.map((hint) => hint["link"]),
        expected.length === 0 ? [] : [expected.join(", ")],
      );
      assert.equal(body, "ok");
      const client = await RawConnection.open(port);
      client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      if (expected.length > 0) assert.equal((await client.answer())?.status, 103);
      assert.equal((await client.answer())?.body, "ok");
      client.destroy();
    }
  }
});

test("a flood of early hints does not become one of the proxy's", async (t) => {
  const { address } = await rawUpstream(t, (socket) => {
    socket.write("HTTP/1.1 103 x\r\nlink: </a>; rel=preload\r\n\r\n".repeat(500));
    socket.write("HTTP/1.1 200 x\r\ncontent-length: 2\r\n\r\nok");
  });
  const { address: front } = await proxied(t, { to: [address] });
  const { hints, body } = await overHttp2(t, front);
  assert.equal(hints.length, 16);
  assert.equal(body, "ok");
});

test("a client of HTTP/1.0 gets no interim answers", async (t) => {
  const { address } = await upstream(t, (req, res) => {
    res.writeEarlyHints({ link: "</a>; rel=preload" });
    req.pipe(res);
  });
  const { port } = await proxied(t, { to: [address] });
  const client = await RawConnection.open(port);
  client.send("POST / HTTP/1.0\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok");
  await client.gone;
  assert.match(client.pending, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(client.pending, /\r\n\r\nok$/);
});
