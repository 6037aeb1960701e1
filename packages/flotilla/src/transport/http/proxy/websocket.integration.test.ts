import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { skipWithout } from "../../../../../../scripts/servers.ts";
import type { Middleware } from "../../../endpoint/endpoint.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { channel } from "../../../service/channel.ts";
import { implement } from "../../../service/implement.ts";
import { nothingEscapes, serve } from "../test-fixtures/bed.ts";
import { certificate } from "../test-fixtures/certificate.ts";
import { Freight, freight } from "../test-fixtures/freight.ts";
import { post, RawConnection } from "../test-fixtures/raw.ts";
import { proxy } from "./proxy.ts";
import { proxyClient } from "./proxy-client.ts";
import { proxied, rawUpstream } from "./test-fixtures/proxied.ts";

nothingEscapes();

const skip = await skipWithout("openssl");

/** A WebSocket server that says back what short texts it is told (RFC 6455). */
async function echoing(
  t: TestContext,
): Promise<{ readonly address: string; readonly sockets: Set<Socket>; urls: string[] }> {
  const sockets = new Set<Socket>();
  const urls: string[] = [];
  const server = createServer((_req, res) => res.end("plain"));
  server.on("upgrade", (req, socket: Socket) => {
    urls.push(req.url!);
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    if (req.url === "/no")
      return void socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
    const key = `${req.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash("sha1").update(key).digest("base64");
    const wrong = req.url === "/other";
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: ${wrong ? "h2c" : "websocket"}\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
    );
    socket.on("data", (frame: Buffer) => {
      const opcode = frame[0]! & 15;
      const length = frame[1]! & 127;
      const mask = frame.subarray(2, 6);
      const text = Buffer.from(frame.subarray(6, 6 + length).map((byte, i) => byte ^ mask[i % 4]!));
      socket.write(Buffer.concat([Buffer.from([128 | opcode, length]), text]));
      if (opcode === 8) socket.end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets, urls };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

function handshake(path: string, upgrade = "websocket"): string {
  return `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${upgrade}\r\nSec-WebSocket-Key: AAAA\r\nSec-WebSocket-Version: 13\r\n\r\n`;
}

test("a WebSocket is carried both ways, and its end too", async (t) => {
  const { address, sockets, urls } = await echoing(t);
  const { port, listening } = await proxied(t, { to: [address], proxy: { path: "/ws", rewrite: "/" } });
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/room?x=1`);
  await once(socket, "open");
  assert.deepEqual(urls, ["/room?x=1"]);
  assert.equal(listening.inFlight, 1);
  for (const text of ["hello", "again"]) {
    socket.send(text);
    const [event] = (await once(socket, "message")) as [MessageEvent];
    assert.equal(event.data, text);
  }
  socket.close();
  await once(socket, "close");
  await until(() => sockets.size === 0 && listening.inFlight === 0);
});

test("the end of either side, and that of the listener, ends the other", async (t) => {
  const { address, sockets } = await echoing(t);
  const { port, listening } = await proxied(t, { to: [address] });
  const open = async (): Promise<RawConnection> => {
    const client = await RawConnection.open(port);
    client.send(handshake("/"));
    await until(() => client.pending.includes("\r\n\r\n"));
    assert.match(client.pending, /^HTTP\/1\.1 101 /);
    return client;
  };
  const one = await open();
  one.destroy();
  await until(() => sockets.size === 0);
  const two = await open();
  for (const socket of sockets) socket.destroy();
  await two.gone;
  const three = await open();
  await listening.close();
  await three.gone;
  await until(() => sockets.size === 0);
  assert.equal(listening.inFlight, 0);
});

test("with TLS as well, where offers of other protocols are passed over", { skip }, async (t) => {
  const { address } = await echoing(t);
  const secret = await certificate();
  for (const http2 of [true, false]) {
    const { port } = await proxied(t, { to: [address], http: { tls: secret, http2 } });
    for (const [upgrade, status] of [
      ["websocket", "101"],
      ["h2c", "200"],
    ] as const) {
      const socket = connectTls({ port, host: "127.0.0.1", ca: secret.cert, ALPNProtocols: ["http/1.1"] });
      socket.write(handshake("/", upgrade));
      const [head] = (await once(socket, "data")) as [Buffer];
      assert.equal(head.toString().split(" ")[1], status);
      socket.destroy();
    }
  }
});

test("a quiet WebSocket is ended", async (t) => {
  const { address, sockets } = await echoing(t);
  const { port } = await proxied(t, { to: [address], proxy: { idleTimeoutMs: 50 } });
  const client = await RawConnection.open(port);
  client.send(handshake("/"));
  await client.gone;
  assert.match(client.pending, /^HTTP\/1\.1 101 /);
  await until(() => sockets.size === 0);
});

test("an upstream that will not have it answers as it likes; one that changes to something else is not believed", async (t) => {
  const { address } = await echoing(t);
  const { port } = await proxied(t, { to: [address] });
  const status = async (text: string): Promise<number | undefined> => {
    const client = await RawConnection.open(port);
    client.send(text);
    const answer = await client.answer();
    client.destroy();
    return answer?.status;
  };
  assert.equal(await status(handshake("/no")), 403);
  assert.equal(await status(handshake("/other")), 502);
  assert.equal(await status(handshake("/", "bogus")), 501);
  assert.equal(await status(handshake("/", "h2c")), 200);
  assert.equal(await status(handshake("/").replace("GET", "POST")), 400);
  const without = await proxied(t, { to: [address], proxy: { websockets: false } });
  const client = await RawConnection.open(without.port);
  client.send(handshake("/"));
  assert.equal((await client.answer())?.status, 501);
  client.destroy();
  const nobody = await proxied(t, { to: ["http://127.0.0.1:1"] });
  const lonely = await RawConnection.open(nobody.port);
  lonely.send(handshake("/"));
  assert.equal((await lonely.answer())?.status, 502);
  lonely.destroy();
});

test("offers to change the protocol do not keep the listener's own services from answering", async (t) => {
  const { address } = await echoing(t);
  const over = channel({ discover: [address], transport: proxyClient() });
  t.after(() => over.close());
  const { port } = await serve(t, { protocols: [proxy({ over, path: "/ws" })] }, implement(Freight, freight()));
  // Where node cannot be told which offers are wanted, it has lost the body by the time.
  const asked = "shouldUpgradeCallback" in createServer();
  for (const upgrade of ["h2c", "websocket"]) {
    const client = await RawConnection.open(port);
    client.send(post("sum", { a: 1, b: 2 }, { connection: "upgrade", upgrade }));
    const answer = await client.answer();
    assert.deepEqual([answer?.status, answer?.body], asked ? [200, '{"v":3}'] : [501, ""]);
    client.destroy();
  }
});

test("whoever was refused and stays is put out", async (t) => {
  const { address } = await echoing(t);
  const { port, listening } = await proxied(t, { to: [address] });
  const client = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  client.write(handshake("/no"));
  const [answer] = (await once(client, "data")) as [Buffer];
  assert.match(String(answer), /^HTTP\/1\.1 403 /);
  await until(() => listening.connections === 0);
  client.destroy();
});

test("a client that leaves before the upstream has answered takes its request with it", async (t) => {
  const { address, sockets } = await rawUpstream(t, () => {});
  const { port, listening } = await proxied(t, { to: [address] });
  for (const early of ["", "early"]) {
    const client = await RawConnection.open(port);
    client.send(handshake("/") + early);
    await until(() => listening.inFlight === 1 && sockets.length > 0);
    client.socket.end();
    await until(() => listening.inFlight === 0 && listening.connections === 0);
  }
  await until(() => sockets.every(({ destroyed }) => destroyed));
});

test("a connection that nobody takes ends with the request", async (t) => {
  const { address, sockets } = await echoing(t);
  for (const refuses of [true, false]) {
    const gone = Promise.withResolvers<void>();
    const late: Middleware = (next) =>
      async function answered(ctx, request) {
        const answer = await next(ctx, request);
        if (refuses) throw new ServiceError("permission_denied", "on second thoughts");
        await gone.promise;
        return answer;
      };
    const { port, listening } = await proxied(t, { to: [address], proxy: { use: [late] } });
    const client = await RawConnection.open(port);
    client.send(handshake("/"));
    await until(() => sockets.size > 0);
    client.socket.resetAndDestroy();
    await until(() => listening.inFlight === 0);
    gone.resolve();
    await until(() => sockets.size === 0);
  }
});
