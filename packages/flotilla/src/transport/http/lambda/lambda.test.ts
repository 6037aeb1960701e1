import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { SayRequestSchema, SayResponseSchema } from "../../../../test/gen/test/v1/echo_pb.ts";
import { VirtualClock } from "../../../clock/virtual-clock.ts";
import { encodeTextEnvelope } from "../../../codec/envelope.ts";
import { remainingMs } from "../../../context/with.ts";
import type { Implementation } from "../../../contract/contract.ts";
import type { Middleware } from "../../../endpoint/endpoint.ts";
import type { FinishedCall } from "../../../endpoint/finished-call.ts";
import type { TelemetryPort } from "../../../endpoint/telemetry-port.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { serverCall } from "../../../metadata/call.ts";
import { currentTrace } from "../../../metadata/trace.ts";
import { faults } from "../../../resilience/faults/faults.ts";
import { implement } from "../../../service/implement.ts";
import { grpc } from "../../grpc/server.ts";
import { jsonRpc } from "../json-rpc/server.ts";
import { nothingEscapes } from "../test-fixtures/bed.ts";
import { EchoContract, EchoService } from "../test-fixtures/echo.ts";
import { Freight, freight } from "../test-fixtures/freight.ts";
import type {
  ApiGatewayEventV1,
  ApiGatewayEventV2,
  ApiGatewayResultV1,
  ApiGatewayResultV2,
  InvokeEvent,
} from "./events.ts";
import { lambda } from "./lambda.ts";
import type { LambdaOptions } from "./options.ts";
import { REQUEST_CONTEXT_HEADER } from "./request.ts";
import { type Asked, functionUrlEvent, httpApiEvent, httpApiEventV1, restApiEvent } from "./test-fixtures/events.ts";

nothingEscapes();

const json = ["content-type", "application/json"];

function handlerOf(methods: Partial<Implementation<typeof Freight>> = {}, options: Partial<LambdaOptions> = {}) {
  return lambda({ serve: [implement(Freight, { ...freight(), ...methods })], ...options });
}

/** A protocol that never answers. */
const stuck = {
  name: "stuck",
  mount: () => ({ inFlight: 0, request: () => true, drain: () => Promise.resolve() }),
};

const within = (ms: number) => ({ getRemainingTimeInMillis: () => ms });

/** What all kinds of answers have. */
interface Answer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly isBase64Encoded: boolean;
}

const kinds: Record<string, (asked: Asked) => ApiGatewayEventV1 | ApiGatewayEventV2> = {
  "a REST API": restApiEvent,
  "an HTTP API": httpApiEvent,
  "an HTTP API with payload format 1.0": httpApiEventV1,
  "a function URL": functionUrlEvent,
};

for (const [name, eventOf] of Object.entries(kinds)) {
  describe(`by ${name}`, () => {
    const handle = (
      asked: Asked,
      methods?: Partial<Implementation<typeof Freight>>,
      options?: Partial<LambdaOptions>,
    ) => handlerOf(methods, options)(eventOf(asked)) as Promise<Answer>;

    test("a call of the Connect protocol", async () => {
      const answer = await handle({ path: "/test.v1.Freight/sum", headers: json, body: '{"a":1,"b":2}' });
      assert.deepEqual([answer.statusCode, answer.body, answer.isBase64Encoded], [200, '{"v":3}', false]);
      assert.equal(answer.headers["content-type"], "application/json");
      assert.equal(answer.headers["content-length"], undefined, "the platform measures it");
      const asked = { path: "/test.v1.Freight/fail", headers: json, body: '{"code":"not_found","message":"gone"}' };
      const failed = await handle(asked);
      assert.equal(failed.statusCode, 404);
      assert.equal((JSON.parse(failed.body) as { code: string }).code, "not_found");
      assert.equal(failed.headers["x-reason"], "asked");
    });

    test("a safe method by GET, its query as it was", async () => {
      const query = `connect=v1&encoding=json&message=${encodeURIComponent('{"a":40,"b":2}')}`;
      const answer = await handle({ method: "GET", path: "/test.v1.Freight/sum", query });
      assert.deepEqual([answer.statusCode, answer.body], [200, '{"v":42}']);
    });

    test("REST routes: path, query and body, statuses and problem+json", async () => {
      const got = await handle({ method: "GET", path: "/cargos/a%20b%2Bc", query: "tons=1.5&tags=x%20y&tags=z%26" });
      assert.equal(got.statusCode, 200);
      assert.deepEqual(JSON.parse(got.body), { id: "a b+c", tons: 1.5, tags: ["x y", "z&"] });
      assert.match(got.headers["etag"]!, /^W\//);
      const booked = await handle({ path: "/cargos", headers: json, body: '{"id":"ü"}' });
      assert.deepEqual([booked.statusCode, booked.body], [201, '{"id":"ü"}']);
      const dropped = await handle({ method: "DELETE", path: "/cargos/7" });
      assert.deepEqual([dropped.statusCode, dropped.body], [204, ""]);
      const wrong = await handle({ path: "/cargos", headers: json, body: '{"id":7}' });
      assert.deepEqual([wrong.statusCode, wrong.headers["content-type"]], [400, "application/problem+json"]);
      const none = await handle({ method: "GET", path: "/nothing/here" });
      assert.equal(none.statusCode, 404);
      const verb = await handle({ method: "PATCH", path: "/cargos/7" });
      assert.deepEqual([verb.statusCode, verb.headers["allow"]], [405, "GET, HEAD, PUT, DELETE"]);
    });

    test("HEAD has no body", async () => {
      const answer = await handle({ method: "HEAD", path: "/cargos/7" });
      assert.deepEqual([answer.statusCode, answer.body], [200, ""]);
    });

    test("JSON-RPC, among the protocols", async () => {
      const body = '{"jsonrpc":"2.0","method":"test.v1.Freight.sum","params":{"a":1,"b":2},"id":1}';
      const answer = await handle({ path: "/rpc", headers: json, body }, {}, { protocols: [jsonRpc()] });
      assert.deepEqual([answer.statusCode, answer.body], [200, '{"jsonrpc":"2.0","result":{"v":3},"id":1}']);
      const told = await handle(
        { path: "/rpc", headers: json, body: body.replace(',"id":1', "") },
        {},
        { protocols: [jsonRpc()] },
      );
      assert.deepEqual([told.statusCode, told.body], [204, ""]);
    });

    test("binary messages, as base64 both ways", async () => {
      const handler = lambda({ serve: [implement(EchoContract, new EchoService())] });
      const body = toBinary(SayRequestSchema, create(SayRequestSchema, { sentence: "ü" }));
      const event = eventOf({ path: "/test.v1.Echo/Say", headers: ["content-type", "application/proto"], body });
      const answer = (await handler(event)) as Answer;
      assert.deepEqual([answer.statusCode, answer.isBase64Encoded], [200, true]);
      assert.equal(fromBinary(SayResponseSchema, Buffer.from(answer.body, "base64")).sentence, "ü");
    });

    test("a stream of answers comes in one piece", async () => {
      const headers = ["content-type", "application/connect+json"];
      const body = encodeTextEnvelope(0, '{"to":3}');
      const answer = await handle({ path: "/test.v1.Freight/count", headers, body });
      assert.deepEqual([answer.statusCode, answer.isBase64Encoded], [200, true]);
      const frames = ['{"n":1}', '{"n":2}', '{"n":3}'].map((text) => encodeTextEnvelope(0, text));
      const all = Buffer.concat([...frames, encodeTextEnvelope(2, "{}")]);
      assert.deepEqual(Buffer.from(answer.body, "base64"), all);
    });

    test("compressed bodies: of requests always, of answers only when told so", async () => {
      const text = "x".repeat(2000);
      const headers = [...json, "content-encoding", "gzip", "accept-encoding", "gzip"];
      const asked = { path: "/test.v1.Freight/echo", headers, body: gzipSync(JSON.stringify({ text })) };
      const plain = await handle(asked);
      assert.deepEqual([plain.isBase64Encoded, plain.body], [false, JSON.stringify({ text })]);
      const packed = await handle(asked, {}, { compressMinBytes: 1024 });
      assert.deepEqual([packed.isBase64Encoded, packed.headers["content-encoding"]], [true, "gzip"]);
      assert.equal(gunzipSync(Buffer.from(packed.body, "base64")).toString(), JSON.stringify({ text }));
      // A further protocol has a mind of its own about what is worth compressing.
      const rpc = JSON.stringify({ jsonrpc: "2.0", method: "test.v1.Freight.echo", params: { text }, id: 1 });
      const called = { path: "/rpc", headers: [...json, "accept-encoding", "gzip"], body: rpc };
      const protocols = [jsonRpc()];
      assert.equal((await handle(called, {}, { protocols })).headers["content-encoding"], undefined);
      assert.equal(
        (await handle(called, {}, { protocols, compressMinBytes: 1024 })).headers["content-encoding"],
        "gzip",
      );
    });

    test("the handler sees the caller, its headers, its trace, and who was authorised", async () => {
      let seen: Record<string, unknown> = {};
      const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
      const forged = [REQUEST_CONTEXT_HEADER, '{"forged":true}'];
      const own = ["traceparent", traceparent, "x-many", "1", "x-many", "2", "cookie", "a=1; b=2"];
      const headers = [...json, ...own, ...forged];
      await handle(
        { path: "/test.v1.Freight/echo", headers, body: '{"text":"x"}' },
        {
          echo(ctx, message) {
            const call = serverCall(ctx)!;
            const get = (of: string) => call.headers.get(of);
            seen = { peer: call.peer, cookie: get("cookie"), traceparent: currentTrace(ctx)?.traceparent };
            seen["many"] = get("x-many")?.split(/, ?/);
            seen["xray"] = get("x-amzn-trace-id")?.startsWith("Root=1-");
            seen["context"] = JSON.parse(get(REQUEST_CONTEXT_HEADER)!);
            return message;
          },
        },
      );
      const { context, ...rest } = seen as { context: { forged?: true; accountId: string; authorizer: unknown } };
      assert.deepEqual(rest, {
        peer: "203.0.113.7",
        cookie: "a=1; b=2",
        traceparent,
        many: ["1", "2"],
        xray: true,
      });
      assert.equal(context.forged, undefined);
      assert.ok(context.accountId !== undefined && context.authorizer !== undefined);
    });

    test("a body that is too large is refused, as the protocol says it", async () => {
      const body = JSON.stringify({ text: "x".repeat(100) });
      const answer = await handle({ path: "/test.v1.Freight/echo", headers: json, body }, {}, { maxBodyBytes: 50 });
      assert.equal(answer.statusCode, 429);
      assert.equal((JSON.parse(answer.body) as { code: string }).code, "resource_exhausted");
    });

    test("CORS, preflights too", async () => {
      const cors = { origins: ["https://a.example"] };
      const headers = ["origin", "https://a.example", "access-control-request-method", "POST"];
      const answer = await handle({ method: "OPTIONS", path: "/test.v1.Freight/sum", headers }, {}, { cors });
      assert.equal(answer.statusCode, 204);
      assert.equal(answer.headers["access-control-allow-origin"], "https://a.example");
    });
  });
}

describe("several values of one header", () => {
  const methods: Partial<Implementation<typeof Freight>> = {
    echo(ctx, message) {
      const { responseHeaders } = serverCall(ctx)!;
      responseHeaders.append("x-many", "1");
      responseHeaders.append("x-many", "2");
      responseHeaders.append("set-cookie", "a=1; Path=/");
      responseHeaders.append("set-cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT");
      return message;
    },
  };
  const asked = { path: "/test.v1.Freight/echo", headers: json, body: '{"text":"x"}' };
  const cookies = ["a=1; Path=/", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"];

  test("format 1.0: multiValueHeaders", async () => {
    const answer: ApiGatewayResultV1 = await handlerOf(methods)(restApiEvent(asked));
    assert.deepEqual(answer.multiValueHeaders, { "x-many": ["1", "2"], "set-cookie": cookies });
    assert.deepEqual(answer.headers, { "content-type": "application/json" });
  });

  test("format 2.0: joined, and cookies apart", async () => {
    const answer: ApiGatewayResultV2 = await handlerOf(methods)(httpApiEvent(asked));
    assert.deepEqual(answer.headers, { "content-type": "application/json", "x-many": "1, 2" });
    assert.deepEqual(answer.cookies, cookies);
  });
});

describe("paths", () => {
  const at = async (event: ApiGatewayEventV1 | ApiGatewayEventV2, options?: Partial<LambdaOptions>) => {
    const { statusCode, body } = (await handlerOf({}, options)(event)) as Answer;
    return statusCode === 200 ? (JSON.parse(body) as { id: string }).id : statusCode;
  };
  const staged = (path: string, domainPrefix: string): ApiGatewayEventV2 => {
    const event = httpApiEvent({ method: "GET", path });
    return { ...event, requestContext: { ...event.requestContext, stage: "prod", domainPrefix } };
  };

  test("the stage stands in the path at the API's own address, and is no part of the route", async () => {
    assert.equal(await at(staged("/prod/cargos/7", "r3pmxmplak")), "7");
    assert.equal(await at(staged("/cargos/7", "r3pmxmplak")), "7", "where it is not there, nothing is taken away");
    assert.equal(await at(staged("/prod/cargos/7", "api")), 404, "at a domain of one's own it means something else");
    const v1 = httpApiEventV1({ method: "GET", path: "/prod/cargos/7" });
    assert.equal(await at({ ...v1, requestContext: { ...v1.requestContext, stage: "prod" } }), "7");
    assert.equal(
      await at(restApiEvent({ method: "GET", path: "/prod/cargos/7" })),
      404,
      "a REST API leaves it out itself",
    );
  });

  test("a base path of a domain of one's own", async () => {
    const options = { basePath: "/shop" };
    assert.equal(await at(restApiEvent({ method: "GET", path: "/shop/cargos/7" }), options), "7");
    assert.equal(await at(httpApiEvent({ method: "GET", path: "/cargos/7" }), options), "7");
    assert.equal(await at(restApiEvent({ method: "GET", path: "/shopping/cargos/7" }), options), 404);
    assert.throws(() => handlerOf({}, { basePath: "shop" }), /lambda: basePath must look like \/shop, got "shop"/);
  });

  test("what an HTTP API has decoded is not taken for a query or a fragment", async () => {
    for (const id of ["what?tons=1", "a#b", "100%", "ä ö", "%zz", "😀"]) {
      assert.equal(await at(httpApiEvent({ method: "GET", path: `/cargos/${encodeURIComponent(id)}` })), id);
      assert.equal(await at(functionUrlEvent({ method: "GET", path: `/cargos/${encodeURIComponent(id)}` })), id);
    }
  });
});

describe("invoked by itself", () => {
  const invoke = (
    event: InvokeEvent,
    methods?: Partial<Implementation<typeof Freight>>,
    options?: Partial<LambdaOptions>,
  ) => handlerOf(methods, options)(event);
  const failureOf = async (work: Promise<unknown>) => {
    const error = (await work.then(
      () => assert.fail("did not fail"),
      (thrown: unknown) => thrown,
    )) as Error;
    return {
      type: error.name,
      ...(JSON.parse(error.message) as { code: string; message: string; details?: unknown[] }),
    };
  };

  test("output and metadata", async () => {
    const event = { method: "test.v1.Freight/sum", input: { a: 1, b: 2 } };
    assert.deepEqual(await invoke(event), { output: { v: 3 }, metadata: {} });
    assert.deepEqual(await invoke({ method: "test.v1.Freight/root" }), { output: { text: "root" }, metadata: {} });
    assert.deepEqual(await invoke({ method: "test.v1.Freight/dropCargo", input: { id: "7" } }), {
      output: {},
      metadata: {},
    });
    const result = await invoke(
      { method: "test.v1.Freight/echo", input: { text: "x" }, metadata: { "X-Ask": "1", "x-list": ["a", "b"] } },
      {
        echo(ctx) {
          const { headers, responseHeaders, responseTrailers, peer } = serverCall(ctx)!;
          responseHeaders.set("x-peer", peer);
          responseHeaders.append("x-two", "1");
          responseHeaders.append("x-two", "2");
          responseTrailers.set("x-after", "3");
          return { text: `${headers.get("x-ask")} ${headers.get("x-list")}` };
        },
      },
    );
    assert.deepEqual(result, {
      output: { text: "1 a, b" },
      metadata: { "x-peer": "lambda", "x-two": ["1", "2"] },
      trailers: { "x-after": "3" },
    });
  });

  test("errors: the type is the code, the message has all there is to know, and no stack", async () => {
    const work = invoke({ method: "test.v1.Freight/fail", input: { code: "not_found", message: "gone" } });
    const { type, code, message, details } = await failureOf(work);
    assert.deepEqual([type, code, message, details?.length], ["not_found", "not_found", "gone", 1]);
    await assert.rejects(work, ({ stack }: Error) => !stack!.includes("    at "));
    assert.equal((await failureOf(invoke({ method: "test.v1.Freight/none" }))).type, "unimplemented");
    const streams = await failureOf(invoke({ method: "test.v1.Freight/count", input: {} }));
    assert.equal(streams.type, "unimplemented");
    assert.match(streams.message, /^test\.v1\.Freight\/count streams/);
    assert.equal((await failureOf(invoke({ method: "a b?c#d/ü" }))).type, "unimplemented");
    const invalid = await failureOf(invoke({ method: "test.v1.Freight/sum", input: { a: "1", b: 2 } }));
    assert.deepEqual([invalid.type, invalid.details?.length], ["invalid_argument", 1]);
    const plain = await failureOf(
      invoke({ method: "test.v1.Freight/fail", input: { code: "plain", message: "secret" } }, {}, { onError() {} }),
    );
    assert.deepEqual(plain, { type: "internal", code: "internal", message: "internal error" });
    const encodeError = () => ({ status: 418, headers: {}, body: "teapot" });
    const own = invoke({ method: "test.v1.Freight/fail", input: { code: "aborted" } }, {}, { hooks: { encodeError } });
    assert.deepEqual(await failureOf(own), { type: "unknown", code: "unknown", message: "the answer has status 418" });
  });

  test("metadata: what is no header is refused, what would say something else of the body is not passed on", async () => {
    const echo = { method: "test.v1.Freight/echo", input: { text: "x".repeat(2000) } };
    const wrong = async (metadata: object, message: RegExp) => {
      const failure = await failureOf(invoke({ ...echo, metadata: metadata as NonNullable<InvokeEvent["metadata"]> }));
      assert.equal(failure.type, "invalid_argument");
      assert.match(failure.message, message);
    };
    await wrong({ "x-n": 7 }, /metadata "x-n" must be a string, or a list of strings, got 7/);
    await wrong({ "x-n": ["a", null] }, /metadata "x-n" must be a string, or a list of strings, got null/);
    await wrong({ "x n": "a" }, /"x n" is not a valid header name/);
    await wrong({ "x-n": "a\r\nb: c" }, /"x-n" has a character a header cannot carry/);
    const metadata = { "accept-encoding": "gzip", "Content-Encoding": "br", "content-type": "text/plain", lambda: "x" };
    const result = await invoke(
      { ...echo, metadata },
      { echo: (ctx) => ({ text: `${serverCall(ctx)!.headers.get("lambda")}${"x".repeat(2000)}` }) },
      { compressMinBytes: 1024 },
    );
    assert.deepEqual(result.output, { text: "x".repeat(2001) });
    const none = { method: "test.v1.Freight/root", metadata: null as unknown as NonNullable<InvokeEvent["metadata"]> };
    assert.deepEqual((await invoke(none)).output, { text: "root" });
  });

  test("metadata of the answer is what the service has set, and nothing that is for browsers", async () => {
    const event = { method: "test.v1.Freight/root", metadata: { origin: "https://a.example" } };
    for (const origins of ["*", ["https://a.example"]] as const) {
      assert.deepEqual((await invoke(event, {}, { cors: { origins } })).metadata, {});
    }
  });

  test("REST routes and further protocols cannot be had so", async () => {
    let booked = false;
    const bookCargo: Implementation<typeof Freight>["bookCargo"] = (_ctx, cargo) => ((booked = true), cargo);
    for (const method of ["cargos", "rpc", "test.v1.Freight/sum?x=1"]) {
      const event = { method, input: { id: "7" } };
      const { type } = await failureOf(invoke(event, { bookCargo }, { protocols: [jsonRpc()] }));
      assert.equal(type, "unimplemented");
    }
    assert.equal(booked, false);
  });

  test("what is no event of ours is refused, saying what it has", async () => {
    for (const event of [
      { Records: [] },
      {},
      null,
      "x",
      1,
      [],
      { requestContext: null },
      { httpMethod: "GET" },
      { method: 1 },
      // By a load balancer, which encodes queries and reads answers otherwise.
      { httpMethod: "GET", path: "/", headers: {}, requestContext: { elb: { targetGroupArn: "arn:aws:…" } } },
    ]) {
      await assert.rejects(handlerOf()(event as unknown as InvokeEvent), /^TypeError: lambda: the event is neither/);
    }
    await assert.rejects(handlerOf()({ Records: [] } as unknown as InvokeEvent), /it has Records$/);
  });
});

describe("the end of the invocation", () => {
  test("calls have what is left, less a margin, or what the caller gives if that is less", async () => {
    const left = (headers: string[], ms: number, options?: Partial<LambdaOptions>) =>
      handlerOf({ echo: (ctx) => ({ text: String(remainingMs(ctx)) }) }, { clock: new VirtualClock(), ...options })(
        httpApiEvent({ path: "/test.v1.Freight/echo", headers: [...json, ...headers], body: '{"text":""}' }),
        within(ms),
      ).then(({ body }) => (JSON.parse(body) as { text: string }).text);
    assert.equal(await left([], 3000), "2750");
    assert.equal(await left([], 3000, { marginMs: 1000 }), "2000");
    assert.equal(await left(["connect-timeout-ms", "500"], 3000), "500");
    assert.equal(await left(["connect-timeout-ms", "9000"], 3000), "2750");
    assert.equal(await left([], 900_000), "30000", "the server's own limit");
    const twice = restApiEvent({
      path: "/test.v1.Freight/echo",
      headers: [...json, "connect-timeout-ms", "1", "connect-timeout-ms", "9000"],
      body: '{"text":""}',
    });
    const echo: Implementation<typeof Freight>["echo"] = (ctx) => ({ text: String(remainingMs(ctx)) });
    const { body } = await handlerOf({ echo }, { clock: new VirtualClock() })(twice, within(3000));
    assert.equal(body, '{"text":"2750"}', "whichever of several counts");
  });

  test("a call that does not end in time is answered in time, whether its handler minds or not", async () => {
    const clock = new VirtualClock();
    const handler = handlerOf({ brief: () => new Promise(() => {}) }, { clock });
    for (const [path, type, status] of [
      ["/test.v1.Freight/hang", "application/json", 504],
      ["/test.v1.Freight/brief", "application/json", 504],
    ] as const) {
      const answered = handler(
        httpApiEvent({ path, headers: [...json, "connect-protocol-version", "1"], body: "{}" }),
        within(500),
      );
      await clock.run(260);
      const answer = await answered;
      assert.equal(answer.statusCode, status);
      assert.equal(answer.headers["content-type"], type);
      assert.equal((JSON.parse(answer.body) as { code: string }).code, "deadline_exceeded");
    }
    const invoked = assert.rejects(handler({ method: "test.v1.Freight/hang" }, within(500)), {
      name: "deadline_exceeded",
    });
    await clock.run(260);
    await invoked;
  });

  test("a stream that never waits leaves the event loop its turns, without which no deadline would come", async () => {
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    const handler = handlerOf({
      async *count() {
        for (let n = 0; n < 100_000 && !turned; n++) yield { n };
      },
    });
    const headers = ["content-type", "application/connect+json"];
    const body = encodeTextEnvelope(0, '{"to":3}');
    const { statusCode } = await handler(functionUrlEvent({ path: "/test.v1.Freight/count", headers, body }));
    assert.deepEqual([statusCode, turned], [200, true]);
  });

  test("where there is no time left no handler is called", async () => {
    let called = false;
    const handler = handlerOf({ echo: (_ctx, message) => ((called = true), message) });
    const event = httpApiEvent({ path: "/test.v1.Freight/echo", headers: json, body: '{"text":""}' });
    assert.equal((await handler(event, within(100))).statusCode, 504);
    assert.equal(called, false);
  });

  test("an answer that is stuck is given up in half of the margin", async () => {
    const clock = new VirtualClock();
    const handler = handlerOf({}, { clock, protocols: [stuck] });
    const answered = handler(restApiEvent({ method: "GET", path: "/" }), within(1000));
    await clock.run(880);
    const { statusCode, headers, body } = await answered;
    assert.deepEqual([statusCode, headers["content-type"]], [504, "application/problem+json"]);
    assert.match(body, /about to end without an answer/);
  });

  test("flush is waited for, and its failure costs no answer", async () => {
    const order: string[] = [];
    const errors: ServiceError[] = [];
    const onError = (error: ServiceError) => void errors.push(error);
    const event = { method: "test.v1.Freight/root" };
    const flush = async () => {
      await new Promise((resolve) => setImmediate(resolve));
      order.push("flushed");
    };
    await handlerOf({}, { flush })(event).then(() => order.push("answered"));
    assert.deepEqual(order, ["flushed", "answered"]);
    for (const failing of [() => Promise.reject(new Error("no collector")), () => assert.fail("no collector")]) {
      await handlerOf({}, { flush: failing, onError })(event);
      assert.match((errors.pop()!.cause as Error).message, /no collector/);
    }
    for (const [leftMs, options, waitMs] of [
      [1000, {}, 938],
      [900_000, {}, 5000],
      [900_000, { flushTimeoutMs: 300 }, 300],
    ] as const) {
      const clock = new VirtualClock();
      let answered = false;
      const stuck = { flush: () => new Promise<void>(() => {}), onError, clock, ...options };
      void handlerOf({}, stuck)(event, within(leftMs)).then(() => (answered = true));
      await clock.run(waitMs - 1);
      assert.equal(answered, false, `${waitMs}`);
      await clock.run(1);
      assert.equal(answered, true, `${waitMs}`);
      assert.match(errors.pop()!.message, /flush took longer/);
    }
  });
});

test("what is reported of an answer that cannot be given goes out with the flush", async () => {
  const order: string[] = [];
  const handler = handlerOf(
    { echo: () => ({ text: "\u0001".repeat(400) }) },
    {
      maxResponseBytes: 2000,
      onError: () => void order.push("reported"),
      flush: async () => void order.push("flushed"),
    },
  );
  await handler(httpApiEvent({ path: "/test.v1.Freight/echo", headers: json, body: '{"text":"x"}' }));
  await assert.rejects(handler({ method: "test.v1.Freight/echo", input: { text: "x" } }));
  assert.deepEqual(order, ["reported", "flushed", "reported", "flushed"]);
});

test("a page may read the error that stands in the place of an answer", async () => {
  const options = { maxResponseBytes: 2000, onError() {}, cors: { origins: ["https://a.example"] } };
  const headers = [...json, "origin", "https://a.example"];
  const event = httpApiEvent({ path: "/test.v1.Freight/echo", headers, body: '{"text":"x"}' });
  for (const text of ["x".repeat(3000), '"'.repeat(700)]) {
    const answer = await handlerOf({ echo: () => ({ text }) }, options)(event);
    assert.deepEqual([answer.statusCode, answer.headers["access-control-allow-origin"]], [500, "https://a.example"]);
  }
});

describe("limits", () => {
  const big = httpApiEvent({ path: "/test.v1.Freight/echo", headers: json, body: '{"text":"x"}' });
  const answering = (text: string, options: Partial<LambdaOptions>) =>
    handlerOf({ echo: () => ({ text }) }, { maxResponseBytes: 2000, onError() {}, ...options });

  test("an answer that the platform would not take is an error instead, escapes and base64 counted", async () => {
    assert.equal((await answering("x".repeat(1500), {})(big)).statusCode, 200);
    for (const text of ["x".repeat(3000), "\u0001".repeat(400), '"'.repeat(700)]) {
      const answer = await answering(text, {})(big);
      assert.deepEqual([answer.statusCode, answer.headers["content-type"]], [500, "application/problem+json"]);
      assert.equal((JSON.parse(answer.body) as { code: string }).code, "resource_exhausted");
    }
    const event = { method: "test.v1.Freight/echo", input: { text: "" } };
    for (const text of ["x".repeat(3000), "\u0001".repeat(400)]) {
      await assert.rejects(answering(text, {})(event), { name: "resource_exhausted" });
    }
  });

  test("an error in the place of an answer is in the form of whoever asked", async () => {
    const clock = new VirtualClock();
    const count = async function* (): AsyncGenerator<{ n: number }> {
      for (let n = 0; n < 1000; n++) yield { n };
    };
    const options = { maxResponseBytes: 2000, onError() {}, protocols: [grpc()], clock };
    const endless = handlerOf({ count }, options);
    const hanging = handlerOf({}, { ...options, protocols: [stuck] });
    const body = encodeTextEnvelope(0, '{"to":3}');
    const ask = async (handler: typeof endless, type: string, context?: ReturnType<typeof within>) => {
      const answered = handler(
        functionUrlEvent({
          path: "/test.v1.Freight/count",
          headers: ["content-type", type],
          body: type.includes("text") ? Buffer.from(body).toString("base64") : body,
        }),
        context,
      );
      if (context !== undefined) await clock.run(880);
      const { statusCode, headers, body: text, isBase64Encoded } = (await answered) as Answer;
      assert.deepEqual([statusCode, headers["content-type"]], [200, type]);
      return { status: headers["grpc-status"], bytes: Buffer.from(text, isBase64Encoded ? "base64" : "utf8") };
    };
    for (const [handler, code, status, context] of [
      [endless, "resource_exhausted", "8"],
      [hanging, "deadline_exceeded", "4", within(1000)],
    ] as const) {
      const { bytes } = await ask(handler, "application/connect+json", context);
      assert.deepEqual([bytes[0], bytes.readUInt32BE(1)], [2, bytes.byteLength - 5]);
      assert.equal((JSON.parse(bytes.toString("utf8", 5)) as { error: { code: string } }).error.code, code);
      for (const type of ["application/grpc-web+json", "application/grpc-web-text+json"]) {
        const web = await ask(handler, type, context);
        assert.deepEqual([web.status, web.bytes.byteLength], [status, 0]);
      }
    }
  });

  test("a stream without end is given up at the limit, and its handler left", async () => {
    let left = false;
    const handler = answering("", {
      serve: [
        implement(Freight, {
          ...freight(),
          async *count(ctx) {
            try {
              for (let n = 0; ctx.err === undefined; n++) {
                yield { n };
                await new Promise((resolve) => setImmediate(resolve));
              }
            } finally {
              left = true;
            }
          },
        }),
      ],
    });
    const headers = ["content-type", "application/connect+json"];
    const body = encodeTextEnvelope(0, '{"to":3}');
    const answer = await handler(functionUrlEvent({ path: "/test.v1.Freight/count", headers, body }));
    assert.match(Buffer.from(answer.body, "base64").toString(), /resource_exhausted/);
    for (let i = 0; i < 5 && !left; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(left);
  });
});

test("middlewares and telemetry stand around what is served", async () => {
  const seen: string[] = [];
  const use: Middleware = (next, method) => (ctx, request) => {
    seen.push(`use ${method.name}`);
    return next(ctx, request);
  };
  const telemetry = {
    server: {
      method: () => ({
        begin: () => ({
          trace: undefined,
          end: ({ method, code, status }: FinishedCall) => void seen.push(`${method?.name} ${code} ${status}`),
        }),
      }),
    },
    onError: (error: ServiceError) => void seen.push(`reported ${(error.cause as Error).message}`),
    flush: async () => void seen.push("flushed"),
  } as unknown as TelemetryPort;
  const handler = handlerOf({}, { use: [use], telemetry });
  await handler({ method: "test.v1.Freight/root" });
  await handler({ method: "test.v1.Freight/fail", input: { code: "plain", message: "secret" } }).catch(() => {});
  await handler(restApiEvent({ method: "GET", path: "/nothing/here" }));
  assert.deepEqual(seen, [
    "use root",
    "root ok 200",
    "flushed",
    "use fail",
    "reported secret",
    "fail internal 500",
    "flushed",
    "undefined unimplemented 404",
    "flushed",
  ]);
});

test("a call that is cut off fails the invocation", async () => {
  const chaos = faults({ serving: true });
  chaos.inject({ abort: true });
  const handler = handlerOf({}, { use: [chaos] });
  const event = httpApiEvent({ path: "/test.v1.Freight/sum", headers: json, body: '{"a":1,"b":2}' });
  await assert.rejects(handler(event), /lambda: the answer to POST \/test\.v1\.Freight\/sum was cut off/);
});

test("what cannot be a header is left out of an answer, which is told", async () => {
  const errors: ServiceError[] = [];
  const fail = (): never => {
    throw new ServiceError("aborted", "no", { metadata: { "x-two-lines": "a\nb", "x-own": "1" } });
  };
  const handler = handlerOf({ fail }, { onError: (error) => void errors.push(error) });
  const event = httpApiEvent({ path: "/test.v1.Freight/fail", headers: json, body: '{"code":""}' });
  const { statusCode, headers }: ApiGatewayResultV2 = await handler(event);
  assert.deepEqual([statusCode, headers["x-own"], headers["x-two-lines"]], [409, "1", undefined]);
  await assert.rejects(handler({ method: "test.v1.Freight/fail", input: { code: "" } }), { name: "aborted" });
  assert.equal(errors.length, 2);
  assert.match(errors[0]!.message, /x-two-lines/);
});

test("options are checked", () => {
  assert.throws(() => handlerOf({}, { marginMs: -1 }), /lambda: marginMs must be 0 or more/);
  assert.throws(() => handlerOf({}, { maxBodyBytes: 0 }), /lambda: maxBodyBytes must be a number above 0/);
  assert.throws(() => handlerOf({}, { maxResponseBytes: 0 }), /lambda: maxResponseBytes/);
  assert.throws(() => handlerOf({}, { flushTimeoutMs: 0 }), /lambda: flushTimeoutMs must be a number above 0, got 0/);
  assert.throws(() => lambda({} as LambdaOptions), /lambda: serve must be a list/);
  assert.throws(() => handlerOf({}, { cors: { origins: ["x"] } }), /lambda: cors.origins/);
});

test("any event of a known kind is answered", async () => {
  const handler = handlerOf({}, { protocols: [jsonRpc()], onError() {} });
  const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }));
  const path = fc.oneof(
    text,
    fc.constantFrom("/rpc", "/test.v1.Freight/sum", "/cargos/1"),
    text.map((part) => `/cargos/${part}`),
  );
  const headers = fc.dictionary(
    fc.constantFrom("content-type", "host", "connect-timeout-ms", "accept-encoding", "x", "__proto__"),
    text,
  );
  const shape = fc.record({
    method: fc.constantFrom("GET", "POST", "PUT", "TRACE", ""),
    path,
    query: text,
    headers,
    body: text,
  });
  await fc.assert(
    fc.asyncProperty(
      shape,
      fc.boolean(),
      async ({ method, path: at, query, headers: given, body }, isBase64Encoded) => {
        const v2: ApiGatewayEventV2 = {
          version: "2.0",
          rawPath: at,
          rawQueryString: query,
          headers: given,
          requestContext: { http: { method } },
          body,
          isBase64Encoded,
        };
        const v1: ApiGatewayEventV1 = {
          httpMethod: method,
          path: at,
          headers: given,
          queryStringParameters: { q: query },
          requestContext: {},
          body,
          isBase64Encoded,
        };
        for (const event of [v2, v1]) {
          const answer = (await handler(event)) as Answer;
          assert.ok(answer.statusCode >= 200 && answer.statusCode < 600);
          assert.equal(typeof answer.body, "string");
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("what looks like an event and is none is refused, saying why: any shape", async () => {
  const handler = handlerOf({}, { protocols: [jsonRpc()], onError() {} }) as (event: unknown) => Promise<unknown>;
  const of = <T>(right: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
    fc.oneof({ weight: 4, arbitrary: right }, fc.jsonValue());
  const text = fc.oneof(fc.string(), fc.constantFrom("/test.v1.Freight/sum", "POST", "test.v1.Freight/sum", "{}"));
  const words = of(fc.dictionary(fc.constantFrom("content-type", "cookie", "x"), of(text)));
  const lists = of(fc.dictionary(fc.constantFrom("content-type", "cookie", "x"), of(fc.array(of(text)))));
  const http = of(fc.record({ method: of(text), sourceIp: of(text) }, { requiredKeys: ["method"] }));
  const identity = of(fc.record({ sourceIp: of(text) }));
  const parts = { http, identity, stage: of(text), apiId: of(text), domainPrefix: of(text) };
  const event = fc.record(
    {
      httpMethod: of(text),
      method: of(text),
      path: of(text),
      rawPath: of(text),
      rawQueryString: of(text),
      cookies: of(fc.array(of(text))),
      headers: words,
      multiValueHeaders: lists,
      queryStringParameters: words,
      multiValueQueryStringParameters: lists,
      requestContext: of(fc.record(parts, { requiredKeys: [] })),
      body: of(text),
      isBase64Encoded: of(fc.boolean()),
      input: fc.jsonValue(),
      metadata: words,
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  let answered = 0;
  await fc.assert(
    fc.asyncProperty(fc.oneof(event, fc.jsonValue()), async (given) => {
      try {
        const answer = Object((await handler(given)) as Answer);
        answered++;
        if ("statusCode" in answer) assert.ok((answer as Answer).statusCode >= 200);
      } catch (error) {
        assert.ok(error instanceof Error);
        if (error.name === "TypeError") assert.match(error.message, /^lambda: /);
        else assert.ok(Object.hasOwn(JSON.parse(error.message) as object, "code"), error.message);
      }
    }),
    { numRuns: 3000 },
  );
  assert.ok(answered > 100);
});
