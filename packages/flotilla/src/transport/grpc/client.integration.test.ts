// Flotilla's client against servers that misbehave, go away, or set limits.
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  constants,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { encodeEnvelope } from "../../codec/envelope.ts";
import { background, withTimeout } from "../../context/with.ts";
import type { Registrar } from "../../discovery/discovery.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { client } from "../../service/channel.ts";
import { host } from "../../service/host.ts";
import { implement } from "../../service/implement.ts";
import { stub } from "../../service/stub.ts";
import { http } from "../http/server.ts";
import { nothingEscapes } from "../http/test-fixtures/bed.ts";
import { grpcClient } from "./client.ts";
import type { GrpcClientOptions } from "./client-options.ts";
import { grpc } from "./server.ts";
import { TestContract, testService } from "./test-fixtures/interop-flotilla.ts";

nothingEscapes();

const ctx = background();
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type Answer = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, session: ServerHttp2Session) => void;

/** A server that answers each stream so, and a client of it. */
async function bed(t: TestContext, answer: Answer, options: GrpcClientOptions = {}, maxConcurrentStreams = 100) {
  const server = createServer({ settings: { maxConcurrentStreams } });
  const sessions: ServerHttp2Session[] = [];
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => {});
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    stream.resume();
    answer(stream, headers, stream.session as ServerHttp2Session);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const connection = grpcClient(options).connect(`grpc://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.after(async () => {
    await connection.close();
    server.close();
    for (const session of sessions) session.destroy();
  });
  return { calls: stub(TestContract, (method) => connection.endpoint(method)), connection, sessions };
}

async function failure(work: Promise<unknown>): Promise<ServiceError> {
  const error = await work.then(
    () => assert.fail("the call did not fail"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ServiceError, String(error));
  return error;
}

const empty = encodeEnvelope(0, new Uint8Array());

/** An answer with these bytes as its body. */
function answering(body: Uint8Array, trailers: Record<string, string> = { "grpc-status": "0" }, head = {}): Answer {
  return (stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc", ...head }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers(trailers));
    stream.end(body);
  };
}

const ok = answering(empty);

/** An answer that is none of gRPC's. */
function speaking(type: string, body: string, head = {}): Answer {
  return (stream) => {
    stream.respond({ ":status": 415, "content-type": type, "content-length": Buffer.byteLength(body), ...head });
    for (const piece of body.match(/.{1,1000}/gs) ?? []) stream.write(piece);
    stream.end();
  };
}

test("answers that are none of gRPC are quoted where they are short text", async (t) => {
  const long = "long ".repeat(200);
  const cases: [Answer, RegExp][] = [
    [
      speaking("application/json", '{"code":"unimplemented",\n "message":"send something else"}'),
      /answered HTTP 415 with content-type "application\/json": {"code":"unimplemented", "message":"send something else"}$/,
    ],
    [speaking("application/problem+json", "{}"), /problem\+json": {}$/],
    [speaking("text/plain; charset=utf-8", long), /": (?:long ){60}…$/],
    [speaking("text/html", "x".repeat(5000)), /html"$/],
    [speaking("image/png", "png"), /png"$/],
    [speaking("text/plain", "packed", { "content-encoding": "gzip" }), /plain"$/],
    [
      // Of no length that is known, there may be no end.
      (stream) => {
        stream.respond({ ":status": 415, "content-type": "text/plain" });
        stream.write("for ever");
      },
      /plain"$/,
    ],
    [
      (stream) => {
        stream.respond({ ":status": 415, "content-type": "text/plain", "content-length": 100 });
        stream.write("half of it", () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
      },
      /plain"(?:: half of it)?$/,
    ],
  ];
  for (const [answer, message] of cases) {
    const { calls } = await bed(t, answer);
    const error = await failure(calls.unaryCall(ctx, {}));
    assert.equal(error.code, "unknown");
    assert.match(error.message, message);
    const streamed = await failure(calls.streamingOutputCall(ctx, {})[Symbol.asyncIterator]().next());
    assert.equal(streamed.code, "unknown");
    assert.match(streamed.message, message);
  }
});

test("a call whose foreign answer never ends still ends with its context", async (t) => {
  const { calls } = await bed(t, (stream) => {
    stream.respond({ ":status": 415, "content-type": "text/plain", "content-length": 100 });
    stream.write("half of it");
  });
  const error = await failure(calls.unaryCall(withTimeout(ctx, 60), {}));
  assert.equal(error.code, "deadline_exceeded");
});

test("answers that are none of gRPC are failures that say what came", async (t) => {
  const cases: [Answer, string, RegExp][] = [
    [(stream) => stream.respond({ ":status": 503 }, { endStream: true }), "unavailable", /HTTP 503/],
    [(stream) => stream.respond({ ":status": 404 }, { endStream: true }), "unimplemented", /HTTP 404/],
    [
      (stream) => {
        stream.respond({ ":status": 200, "content-type": "text/html" });
        stream.end("<html>");
      },
      "unknown",
      /content-type "text\/html"/,
    ],
    [answering(empty, {}), "unknown", /without a grpc-status/],
    [answering(empty, { "grpc-status": "seven" }), "unknown", /without a grpc-status/],
    [answering(empty, { "grpc-status": "5", "grpc-message": "not%20here" }), "not_found", /^not here$/],
    [answering(new Uint8Array()), "unimplemented", /answered with no message/],
    [answering(Buffer.concat([empty, empty])), "unimplemented", /more than one message/],
    [answering(Buffer.from([9, 0, 0, 0, 0])), "internal", /flags 9/],
    [answering(encodeEnvelope(0, Buffer.from([0xff]))), "internal", /cannot be read/],
    [answering(encodeEnvelope(0, new Uint8Array(2000))), "resource_exhausted", /over the limit of 1000/],
    [
      answering(encodeEnvelope(1, gzipSync(Buffer.alloc(500_000))), undefined, { "grpc-encoding": "gzip" }),
      "resource_exhausted",
      /over the limit of 1000/,
    ],
    [answering(encodeEnvelope(1, new Uint8Array())), "internal", /names no compression/],
    [(stream) => stream.close(constants.NGHTTP2_INTERNAL_ERROR), "internal", /reset the call/],
    [(stream) => stream.close(constants.NGHTTP2_CANCEL), "canceled", /cancelled/],
    [(stream) => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM), "resource_exhausted", /fewer calls/],
    [(_stream, _headers, session) => session.destroy(), "unavailable", /lost the connection/],
  ];
  for (const [answer, code, message] of cases) {
    const { calls } = await bed(t, answer, { maxMessageBytes: 1000 });
    const error = await failure(calls.unaryCall(ctx, {}));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    assert.equal(error.retry?.unprocessed, undefined, "it may have been processed");
    const streamed = (async () => {
      for await (const _ of calls.streamingOutputCall(ctx, {})) continue;
    })();
    // A stream may well have no messages, or two; all else fails it likewise.
    if (error.message.endsWith("message")) await streamed;
    else assert.equal((await failure(streamed)).code, code);
  }
});

test("a server that answers a unary call without end is left at its second message", async (t) => {
  let left = false;
  const endless: Answer = (stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    const message = encodeEnvelope(0, new Uint8Array(10_000));
    const write = (): void => {
      while (!stream.destroyed && stream.write(message));
    };
    stream.on("drain", write);
    stream.on("close", () => {
      left = true;
    });
    write();
  };
  const { calls } = await bed(t, endless);
  const error = await failure(calls.unaryCall(ctx, {}));
  assert.equal(error.code, "unimplemented");
  assert.match(error.message, /more than one message/);
  while (!left) await turn();
});

test("a call that was refused is sent once more, over another connection if need be, and only once", async (t) => {
  let streams = 0;
  const refusing = (times: number): Answer => {
    streams = 0;
    return (stream, headers, session) => {
      if (streams++ < times) stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else ok(stream, headers, session);
    };
  };
  const once = await bed(t, refusing(1));
  await once.calls.emptyCall(ctx, {});
  assert.equal(streams, 2);
  const twice = await bed(t, refusing(2));
  const error = await failure(twice.calls.emptyCall(ctx, {}));
  assert.deepEqual([error.code, error.retry?.unprocessed, streams], ["unavailable", true, 2]);
});

test("a stream of requests cannot be sent again: its failure says that nothing was processed", async (t) => {
  const { calls } = await bed(t, (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM));
  const requests = (async function* () {
    yield {};
  })();
  const error = await failure(calls.streamingInputCall(ctx, requests));
  assert.deepEqual([error.code, error.retry?.unprocessed], ["unavailable", true]);
});

test("after GOAWAY new calls go over a new connection, and those under way are finished on the old one", async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const answer: Answer = (stream, headers, session) => {
    if (headers[":path"]!.endsWith("/UnaryCall")) waiting.push(stream);
    else ok(stream, headers, session);
  };
  const { calls, sessions } = await bed(t, answer);
  const slow = calls.unaryCall(ctx, {});
  while (waiting.length === 0) await turn();
  sessions[0]!.close();
  await calls.emptyCall(ctx, {});
  assert.equal(sessions.length, 2);
  ok(waiting[0]!, {}, sessions[0]!);
  await slow;
});

test("where nobody listens, nothing was processed", async (t) => {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  const connection = grpcClient().connect(`grpc://127.0.0.1:${port}`);
  t.after(() => connection.close());
  const calls = stub(TestContract, (method) => connection.endpoint(method));
  const error = await failure(calls.emptyCall(ctx, {}));
  assert.deepEqual([error.code, error.retry?.unprocessed], ["unavailable", true]);
});

test("a peer that answers no ping is given up, and its calls fail", async (t) => {
  const sockets: Socket[] = [];
  // Accepts, and never says a word.
  const server = createTcpServer((socket) => {
    socket.on("error", () => {});
    socket.resume();
    sockets.push(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const options = { keepalive: { everyMs: 100, timeoutMs: 50 } };
  const connection = grpcClient(options).connect(`grpc://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.after(async () => {
    await connection.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const calls = stub(TestContract, (method) => connection.endpoint(method));
  const error = await failure(calls.emptyCall(ctx, {}));
  assert.equal(error.code, "unavailable");
  assert.match(error.message, /no answer to a ping within 50 ms/);
});

test("beyond what the server allows on one connection, another is opened as far as it may be", async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const answer: Answer = (stream, headers, session) => {
    if (headers[":path"]!.endsWith("/UnaryCall")) waiting.push(stream);
    else ok(stream, headers, session);
  };
  const { calls, sessions, connection } = await bed(t, answer, { maxConnections: 2 }, 2);
  // By then the limits are known.
  await calls.emptyCall(ctx, {});
  const four = Array.from({ length: 4 }, () => calls.unaryCall(ctx, {}));
  while (waiting.length < 4) await turn();
  assert.equal(sessions.length, 2);
  const fifth = calls.unaryCall(ctx, {});
  await turn();
  assert.equal(waiting.length, 4, "it waits");
  assert.equal(connection.poolState!().open, 2);
  for (const stream of waiting.splice(0)) ok(stream, {}, stream.session as ServerHttp2Session);
  await Promise.all(four);
  while ((waiting.length as number) === 0) await turn();
  ok(waiting[0]!, {}, sessions[0]!);
  await fifth;
});

test("more calls than may be in flight fail at once, and were not processed", async (t) => {
  const waiting: ServerHttp2Stream[] = [];
  const { calls } = await bed(t, (stream) => void waiting.push(stream), { maxConcurrentRequests: 1 });
  const first = calls.emptyCall(ctx, {});
  const error = await failure(calls.emptyCall(ctx, {}));
  assert.deepEqual([error.code, error.retry?.unprocessed], ["resource_exhausted", true]);
  while (waiting.length === 0) await turn();
  ok(waiting[0]!, {}, waiting[0]!.session as ServerHttp2Session);
  await first;
});

test("a mixed port is registered under both its addresses, and each client finds its own", async (t) => {
  const registered: { service: string; id: string; address: string }[] = [];
  const register: Registrar = {
    async register(_ctx, service, { id, address }) {
      registered.push({ service, id, address });
      return { error: undefined, deregister: async () => {} };
    },
  };
  const running = await host({
    name: "mixed",
    serve: [implement(TestContract, testService)],
    listen: [http({ protocols: [grpc()] })],
    register,
    drainDelayMs: 0,
    onEvent: () => {},
  }).start();
  t.after(() => running.stop());
  const { port } = new URL(running.addresses[0]!);
  assert.deepEqual(
    registered.map(({ address }) => address),
    [`http://127.0.0.1:${port}`, `grpc://127.0.0.1:${port}`],
  );
  assert.notEqual(registered[0]!.id, registered[1]!.id);
  const addresses = registered.map(({ address }) => address);
  const calls = client(TestContract, { discover: addresses, transport: grpcClient() });
  t.after(() => calls[Symbol.asyncDispose]());
  const { payload } = await calls.unaryCall(ctx, { responseSize: 5 });
  assert.equal(payload?.body.byteLength, 5);
});

test("options that are not legal are named", () => {
  const cases: [() => unknown, RegExp][] = [
    [() => grpcClient({ maxConnections: 0 }), /grpcClient: maxConnections must be a number above 0/],
    [() => grpcClient({ keepalive: { everyMs: 5 } }), /grpcClient: keepalive.everyMs must be false, or 100/],
    [() => grpc({ port: 70_000 }), /grpc: port must be a whole number from 0 to 65535/],
    [() => grpc({ maxMessageBytes: -1 }), /grpc: maxMessageBytes must be a number above 0/],
    [() => grpc({ compressMinBytes: -1 }), /grpc: compressMinBytes must be false/],
    [() => grpc({ keepalive: { timeoutMs: 0 } }), /grpc: keepalive.timeoutMs must be a number above 0/],
    [() => grpcClient().connect("127.0.0.1:80"), /must look like grpc:\/\/host:port/],
    [() => grpcClient().connect("grpc://host:80/path"), /must look like grpc:\/\/host:port/],
  ];
  for (const [make, message] of cases) assert.throws(make, message);
});

test("calls leave nothing behind: 2000 of them, and as many that fail", async (t) => {
  const root = background();
  const listening = await grpc().listen([implement(TestContract, testService)], root);
  t.after(() => listening.close());
  const connection = grpcClient().connect(listening.address);
  t.after(() => connection.close());
  const calls = stub(TestContract, (method) => connection.endpoint(method));
  for (let i = 0; i < 2000; i += 50) {
    await Promise.all(Array.from({ length: 50 }, () => calls.emptyCall(ctx, {})));
    await Promise.all(
      Array.from({ length: 50 }, async () =>
        failure(calls.unaryCall(ctx, { responseStatus: { code: 5, message: "no" } })),
      ),
    );
  }
  while (listening.inFlight > 0 || connection.poolState!().idle !== 1) await turn();
  assert.deepEqual(connection.poolState!(), { open: 1, idle: 1, waiting: 0 });
});
