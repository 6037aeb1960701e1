import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { connect, constants, createServer, type IncomingHttpHeaders } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { BalancerFactory } from "../../../balance/balancer.ts";
import { faultProxy } from "../../../testing/fault-proxy.ts";
import { nothingEscapes } from "../test-fixtures/bed.ts";
import { RawConnection } from "../test-fixtures/raw.ts";
import { proxied, rather, rawUpstream, type Upstream, upstream } from "./test-fixtures/proxied.ts";

nothingEscapes();

/** Waits for something that comes about by itself. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

interface Problem {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
}

async function problemOf(answer: Response): Promise<Problem> {
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  return (await answer.json()) as Problem;
}

test("nobody there: 502, for a body too, which is not asked for", async (t) => {
  const { port } = await proxied(t, { to: ["http://127.0.0.1:1"], proxy: { service: "orders" } });
  for (const init of [{}, { method: "POST", body: "x" }]) {
    const answer = await fetch(`http://127.0.0.1:${port}/`, init);
    assert.equal(answer.status, 502);
    const { code, detail } = await problemOf(answer);
    assert.equal(code, "unavailable");
    assert.equal(detail, "orders cannot be reached, or broke off before it had answered");
  }
});

test("no instance known: 503", async (t) => {
  const { port } = await proxied(t, { to: [] });
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  assert.equal(answer.status, 503);
  assert.equal((await problemOf(answer)).detail, "upstream cannot take the request now");
});

test("what could not be sent goes to another instance, whatever its verb and body", async (t) => {
  const { address } = await upstream(t, (req, res) => {
    req.resume();
    req.on("end", () => res.end("served"));
  });
  const { port } = await proxied(t, { to: ["http://127.0.0.1:1", address] });
  for (let i = 0; i < 6; i++) {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "x".repeat(100_000) });
    assert.equal(await answer.text(), "served");
  }
});

test("over HTTP/2, too: a body is not read before there is a connection", async (t) => {
  const server = createServer((req, res) => {
    let bytes = 0;
    req.on("data", (chunk: Buffer) => {
      bytes += chunk.byteLength;
    });
    req.on("end", () => res.end(`served ${bytes}`));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const good = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const bad = "http://127.0.0.1:1";
  const { port } = await proxied(t, {
    to: [bad, good],
    client: { http2: true },
    channel: { balance: rather(bad), slowStart: false, ejection: false },
  });
  const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "x".repeat(100_000) });
  assert.equal(await answer.text(), "served 100000");
});

/** Breaks off after each request it has read; counts them. */
async function breaking(t: Parameters<typeof upstream>[0], seen: string[]): Promise<Upstream> {
  return rawUpstream(t, (socket, received) => {
    seen.push(received.split(" ", 1)[0]!);
    socket.destroy();
  });
}

test("what broke off unanswered is tried at another instance if its verb is idempotent, and nothing of a body was sent", async (t) => {
  const seen: string[] = [];
  const bad = await breaking(t, seen);
  const good = await upstream(t, (req, res) => {
    req.resume();
    res.end("served");
  });
  const { port } = await proxied(t, {
    to: [bad.address, good.address],
    channel: { ejection: false, balance: rather(bad.address), slowStart: false, retry: { baseMs: 0 } },
  });
  const statusOf = async (init: RequestInit): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${port}/`, init);
    await answer.arrayBuffer();
    return answer.status;
  };
  assert.equal(await statusOf({}), 200);
  assert.equal(await statusOf({ method: "DELETE" }), 200);
  assert.equal(await statusOf({ method: "POST" }), 502);
  assert.equal(await statusOf({ method: "PUT", body: "x" }), 502);
  assert.equal(await statusOf({ method: "PATCH", body: "x" }), 502);
  assert.deepEqual(seen, ["GET", "DELETE", "POST", "PUT", "PATCH"]);
});

test("an instance that dies under load costs no request that may be repeated, and none that was not sent", async (t) => {
  const all = await Promise.all(
    [0, 1, 2].map(() => upstream(t, (_req, res) => setImmediate(() => res.end("x".repeat(2000))))),
  );
  const { port } = await proxied(t, { to: all.map(({ address }) => address) });
  const failures: unknown[] = [];
  let done = 0;
  const worker = async (): Promise<void> => {
    while (done < 400) {
      if (++done === 150) all[0]!.kill();
      const answer = await fetch(`http://127.0.0.1:${port}/`).catch((error: unknown) => error);
      const whole = answer instanceof Response && answer.status === 200 && (await answer.text()).length === 2000;
      if (!whole) failures.push(answer);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  // What had begun to be answered cannot be repeated.
  assert.ok(failures.length <= 8, `${failures.length} failures`);
  for (const failure of failures) assert.ok(failure instanceof TypeError, String(failure));
  // And nobody is sent there any more.
  for (let i = 0; i < 20; i++) {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "x" });
    assert.equal(answer.status, 200);
    await answer.text();
  }
});

test("no request is sent twice to an instance", async (t) => {
  const seen: string[] = [];
  const one = await breaking(t, seen);
  const two = await breaking(t, seen);
  const single = await proxied(t, { to: [one.address], channel: { ejection: false, retry: { baseMs: 0 } } });
  assert.equal((await fetch(`http://127.0.0.1:${single.port}/`)).status, 502);
  assert.equal(seen.length, 1);
  const both = await proxied(t, {
    to: [one.address, two.address],
    channel: { ejection: false, retry: { baseMs: 0, maxAttempts: 5 } },
  });
  assert.equal((await fetch(`http://127.0.0.1:${both.port}/`)).status, 502);
  assert.equal(seen.length, 3);
});

test("an answer that tells of no service is passed on as it is, unless another instance does better", async (t) => {
  const bad = await upstream(t, (_req, res) => {
    res.writeHead(503, { "content-type": "text/plain", "retry-after": "0", "x-from": "bad" });
    res.end("come back");
  });
  const good = await upstream(t, (_req, res) => res.end("served"));
  const alone = await proxied(t, { to: [bad.address], channel: { throttle: false } });
  const answer = await fetch(`http://127.0.0.1:${alone.port}/`);
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get("x-from"), "bad");
  assert.equal(await answer.text(), "come back");
  const both = await proxied(t, {
    to: [bad.address, good.address],
    channel: { balance: rather(bad.address), slowStart: false, throttle: false, ejection: false, retry: { baseMs: 0 } },
  });
  assert.equal(await (await fetch(`http://127.0.0.1:${both.port}/`)).text(), "served");
  // Not idempotent: it is the upstream's answer that counts.
  const posted = await fetch(`http://127.0.0.1:${both.port}/`, { method: "POST", body: "x" });
  assert.equal(await posted.text(), "come back");
});

test("a large answer that tells of no service is streamed, and counts as a failure", async (t) => {
  const body = Buffer.alloc(300_000, "x");
  const { address } = await upstream(t, (_req, res) => {
    res.writeHead(503);
    res.end(body);
  });
  const ended: (string | undefined)[] = [];
  const balance: BalancerFactory = (deps) => ({
    ...rather(address)(deps),
    done: (_candidate, _latencyMs, error) => void ended.push(error?.code),
  });
  const { port } = await proxied(t, { to: [address], channel: { throttle: false, slowStart: false, balance } });
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  assert.equal(answer.status, 503);
  assert.equal((await answer.arrayBuffer()).byteLength, body.byteLength);
  await until(() => ended.length > 1);
  // With the head, and with the end.
  assert.deepEqual(ended, [undefined, "unavailable"]);
});

for (const [how, head] of [
  ["a length", "content-length: 100\r\n"],
  ["chunks", "transfer-encoding: chunked\r\n"],
] as const) {
  test(`an upstream that dies in the middle of an answer with ${how} resets the client's connection`, async (t) => {
    const { address } = await rawUpstream(t, (socket) => {
      const begun = head.startsWith("transfer") ? "5\r\nhello\r\n" : "hello";
      socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n${begun}`, () => socket.destroy());
    });
    const { port, address: front } = await proxied(t, { to: [address] });
    for (const line of ["GET / HTTP/1.1\r\nHost: x", "GET / HTTP/1.0"]) {
      const client = await RawConnection.open(port);
      const reset = new Promise<NodeJS.ErrnoException>((resolve) => client.socket.once("error", resolve));
      client.send(`${line}\r\n\r\n`);
      assert.equal((await reset).code, "ECONNRESET");
      assert.doesNotMatch(client.pending, /0\r\n\r\n$/);
    }

    const session = connect(front);
    t.after(() => session.close());
    const stream = session.request({ ":path": "/" });
    stream.resume();
    stream.on("error", () => {});
    await new Promise((resolve) => stream.once("close", resolve));
    assert.equal(stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR);
  });
}

test("a client that goes cancels the upstream, before the answer and in the middle of it", async (t) => {
  const ended: string[] = [];
  const begun: string[] = [];
  const { address } = await upstream(t, (req, res) => {
    begun.push(req.url!);
    res.on("close", () => ended.push(req.url!));
    if (req.url!.startsWith("/late")) return;
    res.write("something");
  });
  const { port, address: front, listening } = await proxied(t, { to: [address] });
  for (const path of ["/late", "/middle"]) {
    const client = await RawConnection.open(port);
    client.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await until(() => begun.includes(path) && (path === "/late" || client.pending.includes("something")));
    client.destroy();
    await until(() => ended.includes(path));
  }
  const session = connect(front);
  for (const verb of ["GET", "HEAD"]) {
    const path = verb === "GET" ? "/stream" : "/late?head";
    const stream = session.request({ ":method": verb, ":path": path });
    await until(() => begun.includes(path));
    stream.close(constants.NGHTTP2_CANCEL);
    await until(() => ended.includes(path));
  }
  session.close();
  await until(() => listening.inFlight === 0);
});

test("nothing moves for too long: 504 before the answer, a reset in the middle of it", async (t) => {
  const { address } = await upstream(t, (req, res) => {
    if (req.url === "/middle") res.write("something");
  });
  const { port } = await proxied(t, { to: [address], proxy: { idleTimeoutMs: 40 } });
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  assert.equal(answer.status, 504);
  assert.equal((await problemOf(answer)).code, "deadline_exceeded");
  const middle = await fetch(`http://127.0.0.1:${port}/middle`);
  await assert.rejects(middle.text());
});

test("what cannot be answered in time is told to each as it expects it, whose status of HTTP may mean something else", async (t) => {
  const { address } = await upstream(t, () => {});
  const { port } = await proxied(t, { to: [address], proxy: { idleTimeoutMs: 40 } });
  const asked = (type: string) =>
    fetch(`http://127.0.0.1:${port}/`, { method: "POST", headers: { "content-type": type }, body: "" });
  for (const type of ["application/connect+json", "application/connect+proto"]) {
    const answer = await asked(type);
    const body = Buffer.from(await answer.arrayBuffer());
    assert.deepEqual([answer.status, answer.headers.get("content-type"), body[0]], [200, type, 2]);
    assert.equal((JSON.parse(body.toString("utf8", 5)) as { error: Problem }).error.code, "deadline_exceeded");
  }
  const web = await asked("application/grpc-web+proto");
  assert.deepEqual([web.status, web.headers.get("grpc-status"), await web.text()], [200, "4", ""]);
});

test("the time left is told to the upstream, and bounds the request", async (t) => {
  const seen: IncomingHttpHeaders[] = [];
  const { address } = await upstream(t, (req) => void seen.push(req.headers));
  const { port } = await proxied(t, { to: [address] });
  const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { "connect-timeout-ms": "60" } });
  assert.equal(answer.status, 504);
  const left = Number(seen[0]!["connect-timeout-ms"]);
  assert.ok(left > 0 && left <= 60, `${left}`);
  const wrong = await fetch(`http://127.0.0.1:${port}/`, { headers: { "connect-timeout-ms": "soon" } });
  assert.equal(wrong.status, 400);
  assert.equal(seen.length, 1);
});

test("a slow reader holds back the upstream, a slow upstream the sender", async (t) => {
  const size = 64 * 1024 * 1024;
  let sent = 0;
  let taken = 0;
  const chunk = Buffer.alloc(64 * 1024, 1);
  const { address } = await upstream(t, (req, res) => {
    if (req.method === "POST") {
      // Reads nothing at first.
      req.once("readable", () => {
        taken += (req.read(1024) as Buffer | null)?.byteLength ?? 0;
      });
      return;
    }
    const more = (): void => {
      while (sent < size) {
        sent += chunk.byteLength;
        if (!res.write(chunk)) return void res.once("drain", more);
      }
      res.end();
    };
    more();
  });
  const { port } = await proxied(t, { to: [address] });
  const reader = await RawConnection.open(port);
  reader.socket.pause();
  reader.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await settled(() => sent);
  // What the kernel holds on its way through two connections, and no more.
  assert.ok(sent < size / 2, `${sent} bytes were taken for one who reads nothing`);
  reader.destroy();

  const writer = request({ port, method: "POST", path: "/" });
  writer.on("error", () => {});
  let written = 0;
  const push = (): void => {
    while (written < size) {
      written += chunk.byteLength;
      if (!writer.write(chunk)) return void writer.once("drain", push);
    }
  };
  push();
  await settled(() => written);
  assert.ok(written < size / 2, `${written} bytes were taken for one who reads ${taken}`);
  writer.destroy();
});

test("over HTTP/2 at either side, too", async (t) => {
  const size = 64 * 1024 * 1024;
  let sent = 0;
  const chunk = Buffer.alloc(64 * 1024, 1);
  const server = createServer((_req, res) => {
    const more = (): void => {
      while (sent < size && !res.destroyed) {
        sent += chunk.byteLength;
        if (!res.write(chunk)) return void res.once("drain", more);
      }
      res.end();
    };
    more();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  t.after(() => server.close());
  const { address, listening } = await proxied(t, { to: [`http://127.0.0.1:${port}`], client: { http2: true } });
  const session = connect(address);
  const stream = session.request({ ":path": "/" });
  await once(stream, "response");
  await settled(() => sent);
  assert.ok(sent < size / 8, `${sent} bytes were taken for one who reads nothing`);
  // Once it reads, all comes.
  let received = 0;
  for await (const part of stream) received += (part as Buffer).byteLength;
  assert.equal(received, size);
  session.close();
  await until(() => listening.inFlight === 0);
});

/** Waits until a number that grows has stood still for a while. */
async function settled(value: () => number): Promise<void> {
  let last = -1;
  let quiet = 0;
  while (quiet < 30) {
    const now = value();
    quiet = now === last && now > 0 ? quiet + 1 : 0;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("an answer before the request has ended reaches the client; the rest of the request is thrown away", async (t) => {
  const { address } = await upstream(t, (req, res) => {
    req.once("data", () => {
      res.writeHead(413, { connection: "close" });
      res.end("too much");
    });
  });
  const { port } = await proxied(t, { to: [address] });
  const client = await RawConnection.open(port);
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n");
  client.send("x".repeat(1000));
  const answer = await client.answer();
  assert.equal(answer?.status, 413);
  assert.equal(answer.body, "too much");
  client.destroy();
});

test("so it is when much of the request is left: the connection goes on, and can be closed", async (t) => {
  const { address } = await upstream(t, (req, res) => {
    req.once("data", () => res.end("enough"));
  });
  const { port, address: front, listening } = await proxied(t, { to: [address] });
  const body = "x".repeat(500_000);
  const client = await RawConnection.open(port);
  for (let i = 0; i < 2; i++) {
    client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    assert.equal((await client.answer())?.body, "enough");
  }
  client.destroy();

  const session = connect(front);
  const post = async (): Promise<void> => {
    const stream = session.request({ ":method": "POST", ":path": "/" });
    stream.resume();
    stream.end(body);
    await once(stream, "close");
  };
  await Promise.all(Array.from({ length: 8 }, post));
  session.close();
  await until(() => listening.connections === 0);
});

test("requests that were given up while they waited for a connection are not many", async (t) => {
  const seen: string[] = [];
  const { address, sockets } = await rawUpstream(t, (_socket, received) => void seen.push(received.split(" ")[1]!));
  const { port, listening } = await proxied(t, {
    to: [address],
    client: { maxConnections: 1, maxWaiting: 5 },
    channel: { throttle: false, ejection: false, retry: false },
  });
  const ask = async (path: string): Promise<RawConnection> => {
    const client = await RawConnection.open(port);
    t.after(() => client.destroy());
    client.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    return client;
  };
  await ask("/first");
  await until(() => seen.length > 0);
  for (let i = 0; i < 5; i++) {
    const client = await ask("/left");
    await until(() => listening.inFlight === 2);
    client.destroy();
    await until(() => listening.inFlight === 1);
  }
  assert.equal((await (await ask("/refused")).answer())?.status, 502);
  // Once their turn has come there is room again.
  sockets[0]!.destroy();
  await until(() => listening.inFlight === 0);
  await ask("/last");
  await until(() => seen.length > 1);
  assert.deepEqual(seen, ["/first", "/last"]);
});

test("over its limit of requests the proxy refuses; draining, it lets those in flight end", async (t) => {
  let release: (() => void) | undefined;
  const { address } = await upstream(t, (_req, res) => {
    release = () => res.end("done");
  });
  const { port, listening } = await proxied(t, { to: [address], proxy: { maxConcurrentRequests: 1 } });
  const pending = fetch(`http://127.0.0.1:${port}/`);
  await until(() => release !== undefined);
  assert.equal(listening.inFlight, 1);
  const refused = await fetch(`http://127.0.0.1:${port}/`);
  assert.equal(refused.status, 503);
  const drained = listening.drain();
  release!();
  const answer = await pending;
  assert.equal(answer.headers.get("connection"), "close, drain");
  assert.equal(await answer.text(), "done");
  await drained;
});

test("a listener that closes ends what is in flight", async (t) => {
  let begun = false;
  const { address } = await upstream(t, (_req, res) => {
    begun = true;
    void res;
  });
  const { port, listening } = await proxied(t, { to: [address] });
  const pending = fetch(`http://127.0.0.1:${port}/`).then(
    (answer) => answer.status,
    () => 0,
  );
  await until(() => begun);
  await listening.close();
  assert.ok([0, 499, 503].includes(await pending));
  assert.equal(listening.inFlight, 0);
});

test("a network that cuts, stalls or garbles between proxy and upstream shows as 502 or a reset", async (t) => {
  const { address } = await upstream(t, (_req, res) => res.end("x".repeat(1000)));
  const fault = await faultProxy({ to: address });
  t.after(() => fault[Symbol.asyncDispose]());
  const { port } = await proxied(t, {
    to: [fault.address],
    proxy: { idleTimeoutMs: 60 },
    channel: { ejection: false, throttle: false, retry: false },
  });
  const outcome = async (): Promise<number> => {
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/`);
      const body = await answer.text();
      assert.ok(answer.status !== 200 || body.length === 1000, `a truncated success of ${body.length} bytes`);
      return answer.status;
    } catch {
      return 0;
    }
  };
  assert.equal(await outcome(), 200);
  const cut = fault.inject({ direction: "toClient", reset: true, afterBytes: 300 });
  assert.equal(await outcome(), 0);
  await cut.heal();
  assert.equal(await outcome(), 200);
});
