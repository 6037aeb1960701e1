// What stands behind the end-of-stream message of a Connect stream, by peers that do not end the body with it.
import assert from "node:assert/strict";
import { createServer, type OutgoingHttpHeaders, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { END_STREAM, encodeTextEnvelope } from "../../codec/envelope.ts";
import { background, withCancel } from "../../context/with.ts";
import type { ServiceError } from "../../errors/service-error.ts";
import { withResponseObserver } from "../../metadata/call.ts";
import { until } from "../../testing/discovery-recorder.ts";
import { callFreight, nothingEscapes } from "./test-fixtures/bed.ts";

nothingEscapes();

const one = encodeTextEnvelope(0, '{"n":1}');
const end = encodeTextEnvelope(END_STREAM, '{"metadata":{"x-trail":["t"]}}');
const failed = encodeTextEnvelope(END_STREAM, '{"error":{"code":"not_found","message":"none"}}');

/** One answer at the peer. */
interface Answering {
  write(data: Uint8Array): void;
  end(): void;
  /** Broken off by the client. */
  readonly broken: boolean;
  /** Over at both ends, in order. */
  readonly over: boolean;
}

interface Peer {
  readonly address: string;
  readonly answers: Answering[];
  /** Connections that were opened. */
  connections: number;
}

function listening(t: TestContext, server: ReturnType<typeof createServer> | ReturnType<typeof createHttp2Server>) {
  const sockets = new Set<Socket>();
  const peer: Peer = { address: "", answers: [], connections: 0 };
  server.on("connection", (socket: Socket) => {
    peer.connections++;
    sockets.add(socket);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return new Promise<Peer>((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      resolve(Object.assign(peer, { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }));
    });
  });
}

const peers = {
  async "HTTP/1.1"(t: TestContext, first: Uint8Array, headers: OutgoingHttpHeaders): Promise<Peer> {
    const server = createServer((req, res: ServerResponse) => {
      req.resume();
      res.writeHead(200, headers);
      res.write(first);
      peer.answers.push({
        write: (data) => void res.write(data),
        end: () => void res.end(),
        get broken() {
          return res.destroyed && !res.writableFinished;
        },
        get over() {
          return res.writableFinished;
        },
      });
    });
    const peer = await listening(t, server);
    return peer;
  },
  async "HTTP/2"(t: TestContext, first: Uint8Array, headers: OutgoingHttpHeaders): Promise<Peer> {
    const server = createHttp2Server();
    server.on("stream", (stream: ServerHttp2Stream) => {
      stream.on("error", () => {});
      stream.resume();
      stream.respond({ ":status": 200, ...headers });
      stream.write(first);
      peer.answers.push({
        write: (data) => void stream.write(data),
        end: () => void stream.end(),
        get broken() {
          return stream.aborted;
        },
        get over() {
          return stream.closed && stream.rstCode === 0;
        },
      });
    });
    const peer = await listening(t, server);
    return peer;
  },
};

for (const [version, peerOf] of Object.entries(peers)) {
  describe(`the end of a stream over ${version}`, () => {
    const bed = async (t: TestContext, first: Uint8Array, headers: OutgoingHttpHeaders = {}) => {
      const peer = await peerOf(t, first, { "content-type": "application/connect+json", ...headers });
      const calls = callFreight(t, peer.address, { http2: version === "HTTP/2" });
      const clock = new VirtualClock();
      const ctx = withCancel(background(clock));
      t.after(() => ctx.cancel());
      const read: unknown[] = [];
      const readAll = async (of = ctx): Promise<void> => {
        read.length = 0;
        for await (const message of calls.count(of, { to: 1 })) read.push(message);
      };
      return { peer, calls, clock, ctx, read, readAll };
    };

    test("a body that never ends does not keep its reader; it is broken off in the background", async (t) => {
      const { peer, clock, ctx, read, readAll } = await bed(t, Buffer.concat([one, end]));
      const trailers: (string | undefined)[] = [];
      const observed = withResponseObserver(ctx, (_headers, trail) => trailers.push(trail.get("x-trail")));
      await readAll(withCancel(observed));
      assert.deepEqual([read, trailers], [[{ n: 1 }], ["t"]]);
      await clock.advance(1999);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(peer.answers[0]!.broken, false);
      await clock.advance(1);
      await until("it is broken off", () => peer.answers[0]!.broken);
    });

    test("nor does it keep the error that the stream ended with", async (t) => {
      const { read, readAll } = await bed(t, Buffer.concat([one, failed]));
      await assert.rejects(readAll(), { code: "not_found", message: "none" });
      assert.deepEqual(read, [{ n: 1 }]);
    });

    test("a body that ends soon leaves the connection as it was, though the call's context ends before", async (t) => {
      const { peer, clock, ctx, readAll } = await bed(t, Buffer.concat([one, end]));
      for (let n = 0; n < 3; n++) {
        const call = withCancel(ctx);
        await readAll(call);
        call.cancel();
        await new Promise((resolve) => setImmediate(resolve));
        const answer = peer.answers[n]!;
        answer.write(Buffer.alloc(1000));
        answer.end();
        await until("it has ended in order", () => answer.over);
      }
      await clock.advance(10_000);
      assert.deepEqual([peer.connections, peer.answers.map(({ broken }) => broken)], [1, [false, false, false]]);
    });

    test("who goes on sending behind the end is broken off", async (t) => {
      const { peer, readAll } = await bed(t, Buffer.concat([one, end]));
      await readAll();
      const [answer] = peer.answers;
      answer!.write(Buffer.alloc(256 * 1024));
      await until("it is broken off", () => answer!.broken);
    });

    test("what has come behind the end already is an error", async (t) => {
      const { peer, read, readAll } = await bed(t, Buffer.concat([one, end, one]));
      await assert.rejects(readAll(), (error: ServiceError) => {
        assert.match(error.message, /^test\.v1\.Freight\/count: 12 bytes came behind the end of the stream$/);
        return error.code === "internal";
      });
      assert.deepEqual(read, [{ n: 1 }]);
      await until("it is broken off", () => peer.answers[0]!.broken);
    });

    test("an answer that cannot be read from its beginning on is broken off", async (t) => {
      const { peer, readAll } = await bed(t, one, { "connect-content-encoding": "snappy" });
      await assert.rejects(readAll(), (error: ServiceError) => /snappy/.test(error.message));
      await until("it is broken off", () => peer.answers[0]!.broken);
    });
  });
}
