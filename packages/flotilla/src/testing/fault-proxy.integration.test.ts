// The proxy between real sockets: node:net, node:http, and curl as a foreign client.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { Agent, createServer as createHttpServer, request as httpRequest } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import fc from "fast-check";
import { skipWithout } from "../../../../scripts/servers.ts";
import { uniform } from "../clock/distribution.ts";
import { seededRandom } from "../clock/random.ts";
import { systemClock } from "../clock/system-clock.ts";
import { until } from "./discovery-recorder.ts";
import { type FaultProxy, type FaultProxyOptions, faultProxy } from "./fault-proxy.ts";

const skip = await skipWithout("curl");

/** A TCP server with the sockets it has; ends with the test. */
async function serve(t: TestContext, onSocket: (socket: Socket) => void = (socket) => void socket.pipe(socket)) {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    onSocket(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => stop(server, sockets));
  return { to: `127.0.0.1:${(server.address() as AddressInfo).port}`, sockets, server };
}

async function stop(server: Server, sockets: readonly Socket[]): Promise<void> {
  for (const socket of sockets) socket.destroy();
  if (server.listening) await new Promise((resolve) => server.close(resolve));
}

async function through(t: TestContext, to: string, options: Partial<FaultProxyOptions> = {}): Promise<FaultProxy> {
  const proxy = await faultProxy({ to, ...options });
  t.after(() => proxy.close());
  return proxy;
}

/** A connection through the proxy, with what it has received and how it ended. */
async function dial(t: TestContext, { port }: FaultProxy, host = "127.0.0.1") {
  const socket = connect({ port, host, allowHalfOpen: true, noDelay: true });
  t.after(() => socket.destroy());
  const seen = { text: "", pieces: 0, ended: false, closed: false, error: undefined as string | undefined };
  socket.setEncoding("latin1");
  socket.on("data", (text: string) => {
    seen.text += text;
    seen.pieces++;
  });
  socket.on("end", () => (seen.ended = true));
  socket.on("error", (error: NodeJS.ErrnoException) => (seen.error = error.code));
  socket.on("close", () => (seen.closed = true));
  await once(socket, "connect").catch((error: unknown) => {
    // A reset may come before this end knows that it is connected.
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
  });
  return { socket, seen };
}

/** A turn for everything that is under way on the loopback: a whole exchange over another connection. */
async function settle(t: TestContext): Promise<void> {
  const { to } = await serve(t);
  const { socket, seen } = await dial(t, { port: Number(to.split(":")[1]) } as FaultProxy);
  for (let i = 0; i < 5; i++) {
    socket.write("x");
    await until("the echo", () => seen.text.length > i);
  }
  socket.destroy();
}

describe("without faults", () => {
  test("bytes, ends and resets go through, and are counted", async (t) => {
    const { to, sockets } = await serve(t);
    const proxy = await through(t, to);
    const { socket, seen } = await dial(t, proxy);
    socket.write("hello");
    await until("the echo", () => seen.text === "hello");
    socket.end();
    await until("the end", () => seen.ended && seen.closed);
    assert.equal(seen.error, undefined);
    await until("closed", () => proxy.counts.open === 0);
    const { accepted, toServer, toClient, held } = proxy.counts;
    assert.deepEqual({ accepted, toServer, toClient, held }, { accepted: 1, toServer: 5, toClient: 5, held: 0 });
    const other = await dial(t, proxy);
    other.socket.write("x");
    await until("the echo", () => other.seen.text === "x");
    sockets.at(-1)!.resetAndDestroy();
    await until("the reset", () => other.seen.error === "ECONNRESET");
  });

  test("a half-closed connection goes on the other way", async (t) => {
    const { to } = await serve(t, (socket) => {
      socket.resume();
      socket.on("end", () => socket.end("all that was asked for"));
    });
    const { socket, seen } = await dial(t, await through(t, to));
    socket.end("question");
    await until("the answer", () => seen.closed);
    assert.equal(seen.text, "all that was asked for");
  });

  test("a server that is not there is a reset, and counted", async (t) => {
    const { to, server } = await serve(t);
    await stop(server, []);
    const proxy = await through(t, to);
    const { seen } = await dial(t, proxy);
    await until("the reset", () => seen.closed);
    assert.equal(seen.error, "ECONNRESET");
    await until("counted", () => proxy.counts.unreachable === 1 && proxy.counts.open === 0);
  });

  test("it takes the place of an address, of either IP, with or without a scheme", async (t) => {
    const { to } = await serve(t);
    const plain = await through(t, to);
    assert.match(plain.address, /^127\.0\.0\.1:\d+$/);
    const scheme = await through(t, `http://${to}`);
    assert.equal(scheme.address, `http://127.0.0.1:${scheme.port}`);
    const six = await faultProxy({ to, host: "::1" }).catch(() => undefined);
    if (six === undefined) return t.diagnostic("this machine has no IPv6 loopback");
    t.after(() => six.close());
    assert.equal(six.address, `[::1]:${six.port}`);
    const { socket, seen } = await dial(t, six, "::1");
    socket.write("six");
    await until("the echo", () => seen.text === "six");
    const back = await through(t, `tcp://[::1]:${six.port}`);
    const four = await dial(t, back);
    four.socket.write("four");
    await until("the echo", () => four.seen.text === "four");
  });

  test("too many connections are turned away", async (t) => {
    const { to } = await serve(t);
    const proxy = await through(t, to, { maxConnections: 1 });
    await dial(t, proxy);
    await until("accepted", () => proxy.counts.accepted === 1);
    const { seen } = await dial(t, proxy);
    await until("closed", () => seen.ended || seen.closed);
    assert.deepEqual([proxy.counts.accepted, proxy.counts.turnedAway], [1, 1]);
  });
});

describe("faults", () => {
  test("latency, one way or both", async (t) => {
    const { to } = await serve(t);
    const proxy = await through(t, to);
    const { socket, seen } = await dial(t, proxy);
    const roundTrip = async (): Promise<number> => {
      const began = systemClock.now();
      const length = seen.text.length;
      socket.write("x");
      await until("the echo", () => seen.text.length > length);
      return systemClock.now() - began;
    };
    const oneWay = proxy.inject({ direction: "toClient", latencyMs: 100 });
    assert.ok((await roundTrip()) >= 100);
    await oneWay.heal();
    const both = proxy.inject({ latencyMs: uniform(100, 110) });
    assert.ok((await roundTrip()) >= 200);
    assert.deepEqual([oneWay.hits, both.hits], [1, 1]);
  });

  test("bandwidth", async (t) => {
    const { to } = await serve(t);
    const proxy = await through(t, to);
    const { socket, seen } = await dial(t, proxy);
    proxy.inject({ direction: "toServer", bytesPerSecond: 100_000 });
    const began = systemClock.now();
    socket.write("x".repeat(30_000));
    await until("all", () => seen.text.length === 30_000);
    assert.ok(systemClock.now() - began >= 299, `${systemClock.now() - began} ms`);
  });

  test("pieces of one byte", async (t) => {
    const { to } = await serve(t, (socket) => void socket.end("a whole answer"));
    const proxy = await through(t, to);
    proxy.inject({ chunkBytes: 1 });
    const { seen } = await dial(t, proxy);
    await until("the end", () => seen.ended);
    assert.equal(seen.text, "a whole answer");
    assert.ok(seen.pieces > 3, `came in ${seen.pieces} pieces`);
  });

  test("reset: a real one, at both ends; new connections only, if so asked", async (t) => {
    const errors: (string | undefined)[] = [];
    const { to, sockets } = await serve(t, (socket) => {
      socket.on("error", (error: NodeJS.ErrnoException) => errors.push(error.code));
      socket.pipe(socket);
    });
    const proxy = await through(t, to);
    const old = await dial(t, proxy);
    const fresh = proxy.inject({ reset: true, connections: "new" });
    const young = await dial(t, proxy);
    await until("the reset", () => young.seen.closed);
    assert.equal(young.seen.error, "ECONNRESET");
    old.socket.write("still there");
    await until("the echo", () => old.seen.text === "still there");
    assert.equal(fresh.hits, 1);
    assert.equal(sockets.length, 1, "the server was not troubled");
    await fresh.heal();
    const all = proxy.inject({ reset: true, connections: "open" });
    await until("the reset", () => old.seen.closed && errors.length === 1);
    assert.deepEqual([old.seen.error, errors], ["ECONNRESET", ["ECONNRESET"]]);
    const last = await dial(t, proxy);
    last.socket.write("not me");
    await until("the echo", () => last.seen.text === "not me");
    assert.equal(all.hits, 1);
  });

  test("abort: closed, at once or in the middle of an answer", async (t) => {
    const { to } = await serve(t);
    const proxy = await through(t, to);
    const one = await dial(t, proxy);
    proxy.inject({ direction: "toClient", abort: true, afterBytes: 4 });
    one.socket.write("0123456789");
    await until("closed", () => one.seen.ended);
    assert.deepEqual([one.seen.text, one.seen.error], ["0123", undefined]);
    await proxy.heal();
    const other = await dial(t, proxy);
    proxy.inject({ abort: true });
    await until("closed", () => other.seen.ended);
    assert.equal(other.seen.error, undefined);
  });

  test("a blackhole holds everything, ends included; healed, nothing is missing", async (t) => {
    const { to, sockets } = await serve(t);
    const proxy = await through(t, to);
    const { socket, seen } = await dial(t, proxy);
    const hole = proxy.inject({ blackhole: true });
    socket.end("into the dark");
    await until("held", () => proxy.counts.held === 13);
    await settle(t);
    assert.deepEqual([seen.text, seen.ended, sockets[0]?.bytesRead], ["", false, 0]);
    await hole.heal();
    await until("all of it", () => seen.closed);
    assert.deepEqual([seen.text, seen.error], ["into the dark", undefined]);
  });

  test("half open: the server is reached, and its death is not heard of", async (t) => {
    const { to, sockets } = await serve(t);
    const proxy = await through(t, to);
    const { socket, seen } = await dial(t, proxy);
    const hole = proxy.inject({ direction: "toClient", blackhole: true });
    socket.write("hello");
    await until("it arrives", () => sockets[0]?.bytesRead === 5);
    sockets[0]!.resetAndDestroy();
    await settle(t);
    assert.deepEqual([seen.text, seen.closed], ["", false]);
    assert.equal(proxy.counts.open, 1);
    await hole.heal();
    // Right behind bytes Node 22 takes a reset for an end.
    await until("the reset", () => seen.error === "ECONNRESET" || (seen.text === "hello" && seen.ended));
  });

  test("refuse: connecting fails, open connections stay; healed, the same port listens", async (t) => {
    const { to } = await serve(t);
    const proxy = await through(t, to);
    const { socket, seen } = await dial(t, proxy);
    const { address } = proxy;
    const refusing = proxy.inject({ refuse: true });
    const second = proxy.inject({ refuse: true });
    await assert.rejects(dial(t, proxy), { code: "ECONNREFUSED" });
    socket.write("x");
    await until("the echo", () => seen.text === "x");
    await refusing.heal();
    await assert.rejects(dial(t, proxy), { code: "ECONNREFUSED" });
    await second.heal();
    assert.equal(proxy.address, address);
    await dial(t, proxy);
    proxy.inject({ refuse: true });
    await proxy.heal();
    await dial(t, proxy);
  });

  test("a share of the connections, the same ones again from the same seed", async (t) => {
    const { to } = await serve(t);
    const run = async (): Promise<string> => {
      const proxy = await through(t, to, { random: seededRandom(5) });
      const fault = proxy.inject({ reset: true, share: 0.5 });
      const never = proxy.inject({ reset: true, share: 0 });
      let outcomes = "";
      for (let i = 0; i < 20; i++) {
        const { socket, seen } = await dial(t, proxy);
        socket.write("x");
        await until("an end", () => seen.closed || seen.text === "x");
        outcomes += seen.text === "x" ? "-" : "x";
        socket.destroy();
      }
      assert.equal(fault.hits, outcomes.replaceAll("-", "").length);
      assert.equal(never.hits, 0);
      return outcomes;
    };
    const outcomes = await run();
    assert.match(outcomes, /x/);
    assert.match(outcomes, /-/);
    assert.equal(await run(), outcomes);
  });

  test("a sender is held back by a receiver that does not read, or by a blackhole: memory is bounded", async (t) => {
    const { to, sockets } = await serve(t, (socket) => void socket.pause());
    const proxy = await through(t, to, { maxBufferBytes: 100_000 });
    const chunk = Buffer.alloc(64 * 1024);
    /** Writes until nothing moves any more. */
    const fill = async (socket: Socket): Promise<void> => {
      let flowing = true;
      for (let i = 0; i < 2000 && flowing; i++) {
        if (socket.write(chunk)) continue;
        flowing = await Promise.race([
          once(socket, "drain").then(() => true),
          new Promise<boolean>((resolve) => systemClock.schedule(300, () => resolve(false))),
        ]);
      }
      assert.equal(flowing, false, "128 MB went where nobody reads");
    };
    const { socket } = await dial(t, proxy);
    await fill(socket);
    assert.ok(proxy.counts.held < 300_000, `${proxy.counts.held} held`);
    const hole = proxy.inject({ blackhole: true, connections: "new" });
    const other = await dial(t, proxy);
    await fill(other.socket);
    assert.ok(proxy.counts.held < 600_000, `${proxy.counts.held} held`);
    const written = [socket.bytesWritten, other.socket.bytesWritten];
    await hole.heal();
    for (const one of sockets) one.resume();
    await until("all has arrived", () => written.every((bytes) => sockets.some(({ bytesRead }) => bytesRead >= bytes)));
  });

  test("close ends it all, whatever is held, and frees the port", async (t) => {
    const { to } = await serve(t);
    const proxy = await through(t, to);
    const { socket, seen } = await dial(t, proxy);
    proxy.inject({ blackhole: true });
    socket.write("x");
    await until("held", () => proxy.counts.held === 1);
    await Promise.all([proxy.close(), proxy.close()]);
    await until("closed", () => seen.ended || seen.closed);
    assert.deepEqual([proxy.counts.open, proxy.counts.held], [0, 0]);
    await assert.rejects(dial(t, proxy), { code: "ECONNREFUSED" });
    await proxy.heal();
    await assert.rejects(dial(t, proxy), { code: "ECONNREFUSED" }, "closed is closed");
    const next = await through(t, to, { port: proxy.port });
    await dial(t, next);
  });
});

test("whatever the pieces, latency and bandwidth, bytes arrive complete and in order (property)", async (t) => {
  const { to } = await serve(t);
  const fault = fc.record(
    {
      latencyMs: fc.nat({ max: 10 }),
      bytesPerSecond: fc.integer({ min: 500_000, max: 5_000_000 }),
      chunkBytes: fc.integer({ min: 100, max: 5000 }),
      loss: fc.double({ min: 0, max: 0.05, noNaN: true }),
      retransmitMs: fc.constant(5),
    },
    { requiredKeys: ["latencyMs"] },
  );
  const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 20_000 }), { maxLength: 20, size: "max" });
  const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
  await fc.assert(
    fc.asyncProperty(fault, fault, pieces, fc.integer(), async (forth, back, pieces, seed) => {
      const proxy = await through(t, to, { random: seededRandom(seed), maxBufferBytes: 10_000 });
      proxy.inject({ ...forth, direction: "toServer" });
      const socket = connect({ port: proxy.port, allowHalfOpen: true });
      const got: Buffer[] = [];
      socket.on("data", (bytes: Buffer) => got.push(bytes));
      for (const piece of pieces) socket.write(piece);
      proxy.inject({ ...back, direction: "toClient" });
      socket.end();
      await once(socket, "close");
      assert.equal(digest(Buffer.concat(got)), digest(Buffer.concat(pieces)));
      await proxy.close();
    }),
    { numRuns: 20 },
  );
});

describe("HTTP through it", () => {
  async function web(t: TestContext) {
    const server = createHttpServer((request, response) => {
      request.resume();
      request.on("end", () => response.end(`${request.method} ${"x".repeat(1000)}`));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    return through(t, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  test("node:http keeps its connection alive, and sees what goes wrong", async (t) => {
    const proxy = await web(t);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const get = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const request = httpRequest(proxy.address, { agent }, (response) => {
          let body = "";
          response.setEncoding("utf8").on("data", (text: string) => (body += text));
          response.on("end", () => resolve(body));
          response.on("error", reject);
        });
        request.on("error", reject).end();
      });
    for (let i = 0; i < 10; i++) assert.match(await get(), /^GET x{1000}$/);
    assert.equal(proxy.counts.accepted, 1);
    proxy.inject({ direction: "toClient", reset: true, afterBytes: 500 });
    await assert.rejects(get(), { code: "ECONNRESET" });
  });

  test("curl says what it sees in its own words", { skip }, async (t) => {
    const proxy = await web(t);
    const curl = (...args: string[]): Promise<{ code: number; out: string }> =>
      new Promise((resolve) => {
        execFile("curl", ["--silent", "--show-error", ...args, proxy.address], (error, stdout) => {
          resolve({ code: typeof error?.code === "number" ? error.code : 0, out: stdout });
        });
      });
    const well = async (): Promise<void> => assert.match((await curl()).out, /^GET x{1000}$/);
    await well();
    // The numbers are those of curl's manual, EXIT CODES.
    proxy.inject({ refuse: true });
    assert.equal((await curl()).code, 7, "failed to connect to host");
    await proxy.heal();
    proxy.inject({ direction: "toClient", reset: true, afterBytes: 0 });
    assert.equal((await curl()).code, 56, "failure in receiving network data");
    await proxy.heal();
    proxy.inject({ direction: "toClient", abort: true, afterBytes: 0 });
    assert.equal((await curl()).code, 52, "the server replied nothing");
    await proxy.heal();
    proxy.inject({ direction: "toClient", abort: true, afterBytes: 600 });
    assert.equal((await curl()).code, 18, "only a part of the file was transferred");
    await proxy.heal();
    proxy.inject({ blackhole: true });
    assert.equal((await curl("--max-time", "0.5")).code, 28, "operation timeout");
    await proxy.heal();
    proxy.inject({ chunkBytes: 1 });
    await well();
    await proxy.heal();
    await well();
  });
});

test("options that are not legal are refused, by name", async () => {
  const wrong: [Partial<FaultProxyOptions>, RegExp][] = [
    [{ to: "somewhere" }, /to must look like host:port or http:\/\/host:port, got "somewhere"/],
    [{ to: "http://a:1/path" }, /to must look like/],
    [{ to: "a:70000" }, /to must look like/],
    [{ port: -1 }, /port must be a whole number/],
    [{ maxConnections: 0 }, /maxConnections must be above 0/],
    [{ maxBufferBytes: 0 }, /maxBufferBytes must be above 0/],
  ];
  for (const [options, why] of wrong) await assert.rejects(faultProxy({ to: "127.0.0.1:1", ...options }), why);
});

test("a port that is taken is told", async (t) => {
  const { to } = await serve(t);
  await assert.rejects(
    faultProxy({ to, port: Number(to.split(":")[1]) }),
    /cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/,
  );
});

test("100 faults at a time, not more", async (t) => {
  const proxy = await through(t, "127.0.0.1:1");
  for (let i = 0; i < 100; i++) proxy.inject({ latencyMs: 1 });
  assert.throws(() => proxy.inject({ latencyMs: 1 }), /there are 100 already/);
  await proxy.heal();
  assert.deepEqual(proxy.active, []);
});
