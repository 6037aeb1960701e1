import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../clock/random.ts";
import type { Middleware } from "../../../endpoint/endpoint.ts";
import { nothingEscapes } from "../test-fixtures/bed.ts";
import { RawConnection } from "../test-fixtures/raw.ts";
import type { ForwardedRequest } from "./exchange.ts";
import { proxied, rawUpstream, upstream } from "./test-fixtures/proxied.ts";

nothingEscapes();

const bad: Readonly<Record<string, string>> = {
  "length and chunks":
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil",
  "chunks and length":
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /evil",
  "two lengths": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
  "the same length twice": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
  "a list of lengths": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\nabcd",
  "a signed length": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nabcd",
  "a negative length": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nabcd",
  "a hexadecimal length": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x4\r\n\r\nabcd",
  "an unknown coding": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
  "a coding that is spelt with a tab":
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\tchunked, identity\r\n\r\n0\r\n\r\n",
  "a further coding": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
  "chunks twice": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
  "two codings":
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
  "a space before the colon": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
  "a folded field":
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
  "chunks in HTTP/1.0": "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "two hosts": "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
  "no host": "GET / HTTP/1.1\r\n\r\n",
  "a host that is none": 'GET / HTTP/1.1\r\nHost: a";for=evil\r\n\r\n',
  "a host with a path": "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
  "a fragment": "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
  "a bare line feed": "GET / HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
  "a bare carriage return": "GET / HTTP/1.1\r\nHost: x\r\nA: b\rContent-Length: 4\r\n\r\n",
  "a null byte": "GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
  "a bad chunk size": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
};

for (const [what, text] of Object.entries(bad)) {
  test(`refused, with the connection: ${what}`, async (t) => {
    const seen: string[] = [];
    const { address } = await rawUpstream(t, (socket, received) => {
      seen.push(received);
      if (received.includes("\r\n\r\n")) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
    const { port } = await proxied(t, { to: [address] });
    const client = await RawConnection.open(port);
    client.send(text);
    client.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    await client.gone;
    const statuses = [...client.pending.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));
    assert.ok(statuses.length <= 1 && statuses.every((status) => status >= 400), client.pending);
    // Of a body that goes wrong the beginning may have been sent, but no end of it, and no second request.
    assert.doesNotMatch(seen.join(""), /evil|\/next|0\r\n\r\n$/);
  });
}

test("requests on one connection stay apart, whatever their bodies look like", async (t) => {
  const { address } = await upstream(t, (req, res) => {
    let body = "";
    req.setEncoding("latin1").on("data", (part: string) => (body += part));
    req.on("end", () => res.end(`${req.method} ${req.url} ${body}`));
  });
  const { port } = await proxied(t, { to: [address], client: { maxConnections: 1 } });
  const client = await RawConnection.open(port);
  const inner = "GET /evil HTTP/1.1\r\nHost: x\r\n\r\n";
  client.send(`GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`);
  client.send(
    `POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${inner.length.toString(16)};ext=1\r\n${inner}\r\n0\r\nx-t: 1\r\n\r\n`,
  );
  client.send("GET /c HTTP/1.1\r\nHost: x\r\nConnection: content-length, host, x\r\nContent-Length: 0\r\nX: 1\r\n\r\n");
  assert.equal((await client.answer())?.body, `GET /a ${inner}`);
  assert.equal((await client.answer())?.body, `POST /b ${inner}`);
  assert.equal((await client.answer())?.body, "GET /c ");
  client.destroy();
});

const answers: Readonly<Record<string, string>> = {
  "two lengths": "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
  "a coding nobody asked for": "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
  "no HTTP": "nonsense\r\n\r\n",
  "a switch nobody asked for": "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
  "a header section without end": `HTTP/1.1 200 OK\r\n${"x-a: b\r\n".repeat(5000)}`,
};

for (const [what, text] of Object.entries(answers)) {
  test(`502 for an upstream that answers with ${what}`, async (t) => {
    const { address } = await rawUpstream(t, (socket) => void socket.write(text));
    const { port } = await proxied(t, { to: [address] });
    const answer = await fetch(`http://127.0.0.1:${port}/`);
    assert.equal(answer.status, 502);
    await answer.arrayBuffer();
  });
}

test("fuzz: whatever comes, an upstream never sees a request that the proxy has not", async (t) => {
  let whole = 0;
  const urls: string[] = [];
  const { address } = await upstream(t, (req, res) => {
    urls.push(req.url!);
    req.resume();
    req.on("end", () => {
      whole++;
      res.end("ok");
    });
  });
  const taken: string[] = [];
  const counting: Middleware = (next) =>
    function counted(ctx, request) {
      taken.push((request as unknown as ForwardedRequest).target);
      return next(ctx, request);
    };
  const { port } = await proxied(t, {
    to: [address],
    proxy: { use: [counting], idleTimeoutMs: 100 },
    http: { headersTimeoutMs: 200 },
    channel: { throttle: false, ejection: false },
  });
  const random = seededRandom(7);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random.next() * from.length)]!;
  const lines = [
    "Host: x",
    "Content-Length: 4",
    "Content-Length: 0",
    "content-length : 4",
    "Content-Length: 4\r\n ",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: identity",
    "transfer-encoding:\x0bchunked",
    "Transfer_Encoding: chunked",
    "Connection: content-length, transfer-encoding",
    "Connection: close",
    "Upgrade: websocket",
    "Expect: 100-continue",
    "TE: chunked",
    "X: \x7f",
    "X:",
    "X: 1",
    "Accept: */*",
    ": x",
  ];
  const bodies = [
    "",
    "abcd",
    "0\r\n\r\n",
    "4\r\nabcd\r\n0\r\n\r\n",
    "5;a=\r\nabcd",
    "fffffffff\r\n",
    "0\n\n",
    "-1\r\n",
  ];
  const attack = async (n: number): Promise<void> => {
    const fields = Array.from({ length: Math.floor(random.next() * 3) }, () => pick(lines));
    const eol = pick(["\r\n", "\r\n", "\r\n", "\n", "\r"]);
    const head = [`${pick(["GET", "POST", "PUT"])} /${n} HTTP/1.${pick(["1", "1", "0"])}`, "Host: x", ...fields].join(
      eol,
    );
    const text = `${head}${eol}${eol}${pick(bodies)}`;
    const client = await RawConnection.open(port);
    client.send(text);
    // What stands where a body should be is a request only for who has read no body.
    client.send(`GET /hidden-${n} HTTP/1.1\r\nHost: x\r\n\r\n`);
    for (let left = 2; left > 0; ) {
      const answer = await client.answer();
      if (answer === undefined || answer.status >= 400) break;
      if (answer.status !== 100) left--;
    }
    client.destroy();
  };
  for (let n = 0; n < 400; n += 50) await Promise.all(Array.from({ length: 50 }, (_, i) => attack(n + i)));
  for (const url of urls) {
    const at = taken.indexOf(url);
    assert.ok(at >= 0, `${url} reached the upstream by itself`);
    taken.splice(at, 1);
  }
  assert.ok(whole > 50, `${whole} requests were whole`);
});

test("what an upstream sends after its answer reaches nobody", async (t) => {
  let count = 0;
  const { address } = await rawUpstream(t, (socket) => {
    count++;
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
  });
  const { port } = await proxied(t, { to: [address], client: { maxConnections: 1 }, channel: { retry: false } });
  for (let i = 0; i < 4; i++) {
    const answer = await fetch(`http://127.0.0.1:${port}/`);
    const body = await answer.text();
    assert.ok(answer.status === 502 || body === "ok", body);
  }
  assert.ok(count > 0);
});

test("paths that could lead out of their prefix are refused", async (t) => {
  const seen: string[] = [];
  const { address } = await upstream(t, (req, res) => {
    seen.push(req.url!);
    res.end();
  });
  const { port } = await proxied(t, { to: [address], proxy: { path: "/a", rewrite: "/inner" } });
  for (const path of [
    "/a/..",
    "/a/../secret",
    "/a/./b",
    "/a/%2e%2e/secret",
    "/a/.%2E/secret",
    "/a/..%2fsecret",
    "/a%2f../secret",
    "/a/..\\secret",
    "/a/..%5csecret",
    "/a/..;/secret",
    "/a/b/..%3b/secret",
  ]) {
    const client = await RawConnection.open(port);
    client.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const status = (await client.answer())?.status;
    // What is not below the prefix, letter for letter, is not the proxy's.
    assert.equal(status, path.startsWith("/a/") ? 400 : 404, path);
    client.destroy();
  }
  assert.deepEqual(seen, []);
  const client = await RawConnection.open(port);
  for (const [path, there] of [
    ["/a/..b/c..", "/inner/..b/c.."],
    ["/a/%2Fx", "/inner/%2Fx"],
    ["/a//x", "/inner//x"],
    ["/a?q=../..", "/inner?q=../.."],
    ["http://other/a/x", "/inner/x"],
  ]) {
    client.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.equal((await client.answer())?.status, 200);
    assert.equal(seen.pop(), there);
  }
  client.destroy();
});

test("nor out of what stands in the place of all paths", async (t) => {
  const seen: string[] = [];
  const { address } = await upstream(t, (req, res) => {
    seen.push(req.url!);
    res.end();
  });
  const { port } = await proxied(t, { to: [address], proxy: { rewrite: "/tenant" } });
  for (const [path, status] of [
    ["/../secret", 400],
    ["/a/..;/../secret", 400],
    ["/a", 200],
  ] as const) {
    const client = await RawConnection.open(port);
    client.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.equal((await client.answer())?.status, status, path);
    client.destroy();
  }
  assert.deepEqual(seen, ["/tenant/a"]);
});
