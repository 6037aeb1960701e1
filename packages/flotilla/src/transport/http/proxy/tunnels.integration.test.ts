import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { seededRandom } from "../../../clock/random.ts";
import type { Middleware } from "../../../endpoint/endpoint.ts";
import { until } from "../../../testing/discovery-recorder.ts";
import { nothingEscapes } from "../test-fixtures/bed.ts";
import { proxied } from "./test-fixtures/proxied.ts";

nothingEscapes();

const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
const HANDSHAKE = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/** A server that changes to a protocol of the test, and the sockets that are open. */
async function switching(t: TestContext, serve: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer();
  server.on("upgrade", (_req, socket: Socket, head: Buffer) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    socket.write(SWITCH);
    if (head.byteLength > 0) socket.unshift(head);
    serve(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sockets };
}

/** A tunnel that is open, nothing read of it yet. */
async function tunnelTo(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
  socket.on("error", () => {});
  socket.write(HANDSHAKE);
  let head = "";
  while (!head.includes("\r\n\r\n")) {
    await Promise.race([once(socket, "readable"), once(socket, "close")]);
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) {
      assert.ok(!socket.destroyed, "there is no tunnel");
      continue;
    }
    head += chunk.toString("latin1");
  }
  assert.match(head, /^HTTP\/1\.1 101 /);
  const end = head.indexOf("\r\n\r\n") + 4;
  if (end < head.length) socket.unshift(Buffer.from(head.slice(end), "latin1"));
  return socket;
}

/** Bytes until the end, or the reset. */
async function countOf(socket: Socket): Promise<number> {
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => (bytes += chunk.byteLength));
  if (!socket.destroyed) await Promise.race([once(socket, "end"), once(socket, "close")]).catch(() => {});
  return bytes;
}

test("what an upstream sent before it ended arrives whole, though the client reads slowly and goes on sending", async (t) => {
  const SENT = 3_000_000;
  const { address, sockets } = await switching(t, (socket) => {
    socket.resume();
    socket.end(Buffer.alloc(SENT));
  });
  const { port, listening } = await proxied(t, { to: [address] });
  const client = await tunnelTo(port);
  client.pause();
  const sending = setInterval(() => client.write(Buffer.alloc(1000)), 5);
  t.after(() => clearInterval(sending));
  let got = 0;
  client.on("data", (chunk: Buffer) => {
    got += chunk.byteLength;
    client.pause();
    setTimeout(() => client.resume(), 2);
  });
  client.resume();
  await Promise.race([once(client, "end"), once(client, "close")]);
  assert.equal(got, SENT);
  clearInterval(sending);
  client.destroy();
  await until("nothing is left", () => sockets.size === 0 && listening.inFlight === 0 && listening.connections === 0);
});

test("a client that does not read the end of what it is sent is cut when nothing moves any more", async (t) => {
  let towards: Socket | undefined;
  const watching: Middleware = (next) =>
    function watched(ctx, request) {
      towards = (request as unknown as { readonly req: IncomingMessage }).req.socket;
      return next(ctx, request);
    };
  const { address, sockets } = await switching(t, (socket) => {
    socket.resume();
    // Until the kernel takes no more, and the proxy has to keep some.
    const send = (): void => {
      if (towards!.writableLength > 0) socket.end();
      else socket.write(Buffer.alloc(16_000), () => setImmediate(send));
    };
    send();
  });
  const { port, listening } = await proxied(t, { to: [address], proxy: { idleTimeoutMs: 200, use: [watching] } });
  const client = await tunnelTo(port);
  client.pause();
  await until("the upstream has ended", () => sockets.size === 0);
  assert.ok(towards!.writableLength > 0);
  await until("nothing is left", () => listening.inFlight === 0 && listening.connections === 0, 3000);
  client.destroy();
});

test("nothing is left of many tunnels, whoever ends them and how, and what was sent before an end has arrived", async (t) => {
  const random = seededRandom(11);
  const below = (n: number): number => Math.floor(random.next() * n);
  const ends = ["client", "upstream", "client resets", "upstream resets", "both"] as const;
  /** What each tunnel is to do, by the first byte that its upstream reads. */
  const plans = Array.from({ length: 256 }, () => {
    return { up: 1 + below(150_000), down: below(150_000), end: ends[below(ends.length)]! };
  });
  const arrived = new Map<number, Promise<number>>();
  const { address, sockets } = await switching(t, (socket) => {
    socket.once("readable", () => {
      const number = (socket.read(1) as Buffer | null)?.[0];
      if (number === undefined) return;
      const { down, end } = plans[number]!;
      arrived.set(number, countOf(socket));
      socket.write(Buffer.alloc(down), () => {
        if (end === "upstream" || end === "both") socket.end();
        else if (end === "upstream resets") socket.resetAndDestroy();
      });
      socket.on("end", () => socket.end());
    });
  });
  const { port, listening } = await proxied(t, { to: [address] });
  let next = 0;
  const work = async (): Promise<void> => {
    for (let number = next++; number < plans.length; number = next++) {
      const { up, down, end } = plans[number]!;
      const client = await tunnelTo(port);
      const got = countOf(client);
      client.write(Buffer.from([number]));
      const written = once(client, "drain").catch(() => {});
      if (!client.write(Buffer.alloc(up - 1))) await Promise.race([written, got]);
      if (end === "client" || end === "both") client.end();
      else if (end === "client resets") client.resetAndDestroy();
      const bytes = await got;
      if (end === "upstream") assert.equal(bytes, down);
      if (end === "client") assert.equal(await arrived.get(number), up - 1);
      client.end();
    }
  };
  await Promise.all(Array.from({ length: 30 }, work));
  await until("nothing is left", () => sockets.size === 0 && listening.inFlight === 0 && listening.connections === 0);
});

test("a slow reader holds up the sender, either way", async (t) => {
  let sent = 0;
  const pump = (socket: Socket): void => {
    while (!socket.destroyed && socket.write(Buffer.alloc(64_000), () => (sent += 64_000)));
    socket.once("drain", () => pump(socket));
  };
  const { address, sockets } = await switching(t, (socket) => socket.pause());
  const { port, listening } = await proxied(t, { to: [address] });
  for (const direction of ["down", "up"]) {
    const client = await tunnelTo(port);
    client.pause();
    sent = 0;
    const [upstream] = sockets;
    pump(direction === "down" ? upstream! : client);
    let before = -1;
    await until("the sender stands still", () => {
      const still = sent === before;
      before = sent;
      return sent > 0 && still;
    });
    assert.ok(sent < 20_000_000, `${sent} bytes are on the way`);
    client.destroy();
    upstream!.destroy();
    await until("nothing is left", () => sockets.size === 0 && listening.inFlight === 0 && listening.connections === 0);
  }
});

test("tunnels that stay are cut with their listener, at both ends", async (t) => {
  const { address, sockets } = await switching(t, (socket) => socket.pipe(socket));
  const { port, listening } = await proxied(t, { to: [address], client: { maxConnections: 4 } });
  const clients = await Promise.all(Array.from({ length: 200 }, () => tunnelTo(port)));
  assert.equal(listening.inFlight, 200);
  const ended = clients.map(countOf);
  for (const client of clients) client.write("on its way");
  let drained = false;
  const draining = listening.drain().then(() => (drained = true));
  for (const client of clients.splice(0, 100)) client.end();
  await until("half of them have ended", () => listening.inFlight === 100);
  assert.ok(!drained);
  for (const bytes of await Promise.all(ended.slice(0, 100))) assert.equal(bytes, 10);
  await listening.close();
  await draining;
  await Promise.all(ended);
  await until("nothing is left", () => sockets.size === 0 && listening.inFlight === 0 && listening.connections === 0);
});
