// What no well-behaved client sends: each a clear answer in the words of gRPC, in bounded memory, and others are served meanwhile.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectSocket } from "node:net";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { SimpleRequestSchema } from "../../../test/gen/grpc/testing/test_pb.ts";
import { encodeEnvelope } from "../../codec/envelope.ts";
import { background, withValue } from "../../context/with.ts";
import type { Implementation } from "../../contract/contract.ts";
import { errorReporterKey } from "../../endpoint/report.ts";
import type { BoundMethod, Service } from "../../endpoint/service.ts";
import type { Listening } from "../../endpoint/transport.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { implement } from "../../service/implement.ts";
import { http } from "../http/server.ts";
import { nothingEscapes } from "../http/test-fixtures/bed.ts";
import { grpcClient } from "./client.ts";
import type { GrpcServerOptions } from "./options.ts";
import { grpc } from "./server.ts";
import { interopCases } from "./test-fixtures/interop-cases.ts";
import { interopClient, TestContract, testService } from "./test-fixtures/interop-flotilla.ts";

nothingEscapes();

const UNARY = "/grpc.testing.TestService/UnaryCall";
const INPUT = "/grpc.testing.TestService/StreamingInputCall";
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Bed {
  readonly listening: Listening;
  readonly session: ClientHttp2Session;
}

async function bed(
  t: TestContext,
  options: GrpcServerOptions = {},
  methods: Partial<Implementation<typeof TestContract>> = {},
  change: (service: Service) => Service = (service) => service,
): Promise<Bed> {
  const root = withValue(background(), errorReporterKey, () => {});
  const service = change(implement(TestContract, { ...testService, ...methods }));
  const listening = await grpc(options).listen([service], root);
  t.after(() => listening.close());
  const session = connect(listening.address.replace("grpc", "http"));
  session.on("error", () => {});
  t.after(() => session.destroy());
  return { listening, session };
}

interface Answer {
  readonly http: number;
  readonly status: string | undefined;
  readonly message: string;
  readonly headers: IncomingHttpHeaders;
  readonly rst: number;
}

/** Sends these bytes as the body; the outcome, wherever it stands. */
async function send(
  session: ClientHttp2Session,
  body: Uint8Array | undefined,
  headers: OutgoingHttpHeaders = {},
  leaveOpen = false,
): Promise<Answer> {
  const stream = session.request({
    ":method": "POST",
    ":path": UNARY,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  let outcome: IncomingHttpHeaders = {};
  let head: IncomingHttpHeaders = {};
  stream.on("response", (received) => {
    head = received;
    outcome = { ...received, ...outcome };
  });
  stream.on("trailers", (received) => {
    outcome = { ...outcome, ...received };
  });
  stream.on("error", () => {});
  stream.resume();
  if (body !== undefined) stream.write(body);
  if (!leaveOpen) stream.end();
  await once(stream, "close");
  return {
    http: Number(head[":status"]),
    status: outcome["grpc-status"] as string | undefined,
    message: decodeURIComponent(String(outcome["grpc-message"] ?? "")),
    headers: head,
    rst: stream.rstCode,
  };
}

/** Every request message of the service can be read from it. */
const message = (): Uint8Array =>
  toBinary(SimpleRequestSchema, create(SimpleRequestSchema, { payload: { body: new Uint8Array(3) } }));
const good = encodeEnvelope(0, message());

test("a content type that is not gRPC's is answered with HTTP 415, and without a status", async (t) => {
  const { session } = await bed(t);
  for (const type of ["text/plain", "application/json", "", "application/grp"]) {
    const { http: status, status: grpcStatus } = await send(session, good, { "content-type": type });
    assert.deepEqual([status, grpcStatus], [415, undefined], type);
  }
});

test("a method that is not POST is answered with HTTP 405", async (t) => {
  const { session } = await bed(t);
  assert.equal((await send(session, good, { ":method": "PUT" })).http, 405);
});

test("a form of messages that the method does not have is unimplemented, saying which it has", async (t) => {
  const { session } = await bed(t);
  const { status, message: text } = await send(session, good, { "content-type": "application/grpc+thrift" });
  assert.equal(status, "12");
  assert.match(text, /send application\/grpc, or \+json/);
  for (const type of ["application/grpc+proto", "application/grpc; charset=utf-8", "application/grpc+proto;x=y"]) {
    assert.equal((await send(session, good, { "content-type": type })).status, "0", type);
  }
});

test("broken messages: truncated, too large, none, two, flags from nowhere, no protobuf", async (t) => {
  const { session, listening } = await bed(t, { maxMessageBytes: 1000 });
  const cases: [string, Uint8Array | undefined, string, RegExp][] = [
    ["truncated", good.subarray(0, good.length - 1), "3", /ended inside a message/],
    ["truncated in the prefix", good.subarray(0, 3), "3", /ended inside a message/],
    ["too large", encodeEnvelope(0, new Uint8Array(1001)), "8", /over the limit of 1000 bytes/],
    ["only announced", Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), "8", /over the limit of 1000 bytes/],
    ["none", undefined, "12", /exactly one request message, got none/],
    ["two", Buffer.concat([good, good]), "12", /exactly one request message, got more/],
    ["flags", Buffer.from([0x40, 0, 0, 0, 0]), "3", /flags 64/],
    ["no protobuf", encodeEnvelope(0, Buffer.from([0xff, 0xff, 0xff])), "3", /./],
  ];
  for (const path of [UNARY, INPUT]) {
    for (const [name, body, status, text] of cases) {
      // A stream may well have no messages, or two.
      if (path === INPUT && (name === "none" || name === "two")) continue;
      const answer = await send(session, body, { ":path": path });
      assert.equal(answer.status, status, `${name} ${path} ${answer.message}`);
      assert.match(answer.message, text, name);
    }
  }
  assert.equal((await send(session, good)).status, "0", "the connection is fine");
  assert.equal(listening.inFlight, 0);
});

test("what is too large is refused before it has come, and the client need not send the rest", async (t) => {
  const { session } = await bed(t, { maxMessageBytes: 1000 });
  const { status, rst } = await send(session, Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1]), {}, true);
  assert.deepEqual([status, rst], ["8", 0]);
});

test("compression: bombs, garbage, unknown codings, and none announced", async (t) => {
  const { session } = await bed(t, { maxMessageBytes: 10_000 });
  const bomb = encodeEnvelope(1, gzipSync(Buffer.alloc(9_000_000)));
  assert.ok(bomb.length < 10_000);
  const cases: [string, Uint8Array, string | undefined, string][] = [
    ["bomb", bomb, "gzip", "8"],
    ["garbage", encodeEnvelope(1, Buffer.from("not gzip")), "gzip", "3"],
    ["unknown", encodeEnvelope(1, message()), "zstd", "12"],
    ["not announced", encodeEnvelope(1, gzipSync(message())), undefined, "13"],
    ["right", encodeEnvelope(1, gzipSync(message())), "gzip", "0"],
    ["announced and not used", good, "gzip", "0"],
  ];
  for (const path of [UNARY, INPUT]) {
    for (const [name, body, encoding, status] of cases) {
      const headers = encoding === undefined ? {} : { "grpc-encoding": encoding };
      const answer = await send(session, body, { ":path": path, ...headers });
      assert.equal(answer.status, status, `${name} ${path} ${answer.message}`);
      if (name === "unknown") assert.equal(answer.headers["grpc-accept-encoding"], "identity,gzip");
    }
  }
});

test("a timeout that is none is refused; one of zero has passed", async (t) => {
  const { session } = await bed(t);
  assert.equal((await send(session, good, { "grpc-timeout": "soon" })).status, "3");
  assert.equal((await send(session, good, { "grpc-timeout": "0n" })).status, "4");
  assert.equal((await send(session, good, { "grpc-timeout": "10S" })).status, "0");
});

test("paths that lead nowhere are unimplemented", async (t) => {
  const { session } = await bed(t);
  for (const path of ["/", "/grpc.testing.TestService", `${UNARY}/x`, "/__proto__", `/${"x".repeat(5000)}`]) {
    assert.equal((await send(session, good, { ":path": path })).status, "12", path);
  }
});

test("over the limit of calls, further ones are unavailable", async (t) => {
  const { session, listening } = await bed(t, { maxConcurrentRequests: 1 });
  const first = session.request({ ":method": "POST", ":path": INPUT, "content-type": "application/grpc" });
  first.on("error", () => {});
  first.write(encodeEnvelope(0, new Uint8Array()));
  while (listening.inFlight === 0) await turn();
  const refused = await send(session, good);
  assert.equal(refused.status, "14");
  assert.match(refused.message, /limit of 1 concurrent calls/);
  first.close(8);
  while (listening.inFlight > 0) await turn();
  assert.equal((await send(session, good)).status, "0");
});

test("what is refused is refused before its message is read", async (t) => {
  let called = 0;
  const refuses = (): ServiceError => new ServiceError("resource_exhausted", "not now", { retry: { afterMs: 70 } });
  const busy = (method: BoundMethod): BoundMethod => ({ ...method, refuses });
  const methods = {
    unaryCall: () => {
      called++;
      return {};
    },
  };
  const { session } = await bed(t, {}, methods, ({ name, methods: all }) => ({ name, methods: all.map(busy) }));
  const { status, headers } = await send(session, undefined, {}, true);
  assert.equal(status, "8");
  assert.equal(headers["grpc-retry-pushback-ms"], "70");
  assert.equal(called, 0);
});

test("a client that reads nothing is held up, whatever the handler has to say", async (t) => {
  let made = 0;
  let cleaned = false;
  const methods: Partial<Implementation<typeof TestContract>> = {
    async *streamingOutputCall() {
      try {
        for (; made < 100_000; made++) yield { payload: { body: new Uint8Array(16_384) } };
      } finally {
        cleaned = true;
      }
    },
  };
  const { session, listening } = await bed(t, {}, methods);
  const path = "/grpc.testing.TestService/StreamingOutputCall";
  const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc" });
  stream.on("error", () => {});
  stream.end(encodeEnvelope(0, new Uint8Array()));
  let before = -1;
  for (let same = 0; same < 20 || made === 0; same = made === before ? same + 1 : 0) {
    before = made;
    await turn();
  }
  assert.ok(made < 2000, `${made} messages`);
  stream.close(8);
  while (listening.inFlight > 0) await turn();
  while (!cleaned) await turn();
});

test("any bytes as a body are answered, and the server goes on", async (t) => {
  const { session, listening } = await bed(t, { maxMessageBytes: 200 });
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom(UNARY, INPUT, "/grpc.testing.TestService/FullDuplexCall"),
      fc.constantFrom("application/grpc", "application/grpc+json"),
      async (body, path, type) => {
        const { status } = await send(session, body, { ":path": path, "content-type": type, "grpc-encoding": "gzip" });
        assert.match(String(status), /^(?:0|2|3|8|12)$/);
      },
    ),
    { numRuns: 300 },
  );
  assert.equal((await send(session, good)).status, "0");
  assert.equal(listening.inFlight, 0);
});

test("a connection that says nothing, or something else, is cut", async (t) => {
  const { listening } = await bed(t, { handshakeTimeoutMs: 50 });
  const port = Number(new URL(listening.address).port);
  for (const bytes of ["", "GET / HTTP/1.1\r\nhost: x\r\n\r\n", "\u0000\u0001garbage"]) {
    const socket = connectSocket(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.resume();
    if (bytes !== "") socket.write(bytes);
    await once(socket, "close");
  }
});

test("gRPC-Web: base64 that is none, truncated text, and messages cut anywhere", async (t) => {
  const root = withValue(background(), errorReporterKey, () => {});
  const listening = await http({ protocols: [grpc()] }).listen([implement(TestContract, testService)], root);
  t.after(() => listening.close());
  const post = async (type: string, body: string | Uint8Array): Promise<string> => {
    const headers = { "content-type": type };
    const answer = await fetch(`${listening.address}${UNARY}`, { method: "POST", headers, body: body as never });
    assert.equal(answer.status, 200);
    assert.match(
      answer.headers.get("content-type")!,
      type.includes("text") ? /^application\/grpc-web-text/ : /^application\/grpc-web/,
    );
    const text = await answer.text();
    return type.includes("text") ? Buffer.from(text, "base64").toString("latin1") : text;
  };
  const text = "application/grpc-web-text";
  assert.match(await post(text, "%%%%"), /grpc-status: 3/);
  assert.match(await post(text, good.toString("base64").slice(0, -1)), /grpc-status: 3/);
  assert.match(await post(text, good.toString("base64")), /grpc-status: 0/);
  const parts = [good.subarray(0, 1), good.subarray(1, 5), good.subarray(5)];
  assert.match(await post(text, parts.map((part) => part.toString("base64")).join("")), /grpc-status: 0/);
  assert.match(await post("application/grpc-web+proto", good), /grpc-status: 0/);
  assert.match(await post("application/grpc-web+proto", good.subarray(2)), /grpc-status: [38]/);
});

test("pages of other origins may call by gRPC-Web", async (t) => {
  const options = { protocols: [grpc()], cors: { origins: ["https://app.example"] } };
  const listening = await http(options).listen([implement(TestContract, testService)], background());
  t.after(() => listening.close());
  const origin = "https://app.example";
  const preflight = await fetch(`${listening.address}${UNARY}`, {
    method: "OPTIONS",
    headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "x-grpc-web" },
  });
  assert.equal(preflight.headers.get("access-control-allow-origin"), origin);
  assert.match(preflight.headers.get("access-control-allow-headers")!, /\bx-grpc-web\b/);
  const headers = { origin, "content-type": "application/grpc-web+proto", "x-grpc-web": "1" };
  const answer = await fetch(`${listening.address}${UNARY}`, { method: "POST", headers, body: good as never });
  assert.equal(answer.headers.get("access-control-allow-origin"), origin);
  assert.match(answer.headers.get("access-control-expose-headers")!, /\bgrpc-status\b/);
});

test("a client finds a server again that was started anew", async (t) => {
  const root = withValue(background(), errorReporterKey, () => {});
  const services = [implement(TestContract, testService)];
  let listening = await grpc().listen(services, root);
  const port = Number(new URL(listening.address).port);
  const connection = grpcClient().connect(listening.address);
  t.after(() => connection.close());
  const client = interopClient(connection);
  await interopCases["empty_unary"]!(client);
  await listening.close();
  listening = await grpc({ port }).listen(services, root);
  t.after(() => listening.close());
  await interopCases["empty_unary"]!(client);
});
