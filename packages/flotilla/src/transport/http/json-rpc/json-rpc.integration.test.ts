import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { request } from "undici";
import { afterFunc, background, withCancel, withTimeout, withValue } from "../../../context/with.ts";
import type { Implementation } from "../../../contract/contract.ts";
import type { FinishedCall } from "../../../endpoint/finished-call.ts";
import { serverObserverKey } from "../../../endpoint/observer.ts";
import { serverCall } from "../../../metadata/call.ts";
import { implement } from "../../../service/implement.ts";
import { stub } from "../../../service/stub.ts";
import { until } from "../../../testing/discovery-recorder.ts";
import { failureOf } from "../../../testing/transport-bed.ts";
import { http } from "../server.ts";
import { nothingEscapes, serveFreight } from "../test-fixtures/bed.ts";
import { Freight, freight } from "../test-fixtures/freight.ts";
import { RawConnection } from "../test-fixtures/raw.ts";
import { jsonRpcClient } from "./client.ts";
import type { JsonRpcOptions } from "./options.ts";
import { jsonRpc } from "./server.ts";
import { ask, post, type Response } from "./test-fixtures/post.ts";

nothingEscapes();

const F = "test.v1.Freight.";

function serve(t: TestContext, options: JsonRpcOptions = {}, methods: Partial<Implementation<typeof Freight>> = {}) {
  return serveFreight(t, { protocols: [jsonRpc(options)] }, methods);
}

function call(method: string, params: unknown, id?: unknown): object {
  return { jsonrpc: "2.0", method: F + method, params, ...(id !== undefined && { id }) };
}

test("methods are called by package, service and name; other names can be given", async (t) => {
  const { address } = await serve(t);
  assert.deepEqual(await ask(address, call("sum", { a: 1, b: 2 }, "x")), { jsonrpc: "2.0", result: { v: 3 }, id: "x" });
  assert.equal((await ask(address, { jsonrpc: "2.0", method: "sum", id: 1 })).error?.code, -32_601);
  const named = await serve(t, { methodName: ({ name }) => `freight_${name}` });
  const answer = await ask(named.address, { jsonrpc: "2.0", method: "freight_sum", params: { a: 1, b: 2 }, id: 1 });
  assert.deepEqual(answer.result, { v: 3 });
});

test("names that cannot be are refused when the server starts", async () => {
  const listen = (methodName: NonNullable<JsonRpcOptions["methodName"]>) =>
    http({ protocols: [jsonRpc({ methodName })] }).listen([implement(Freight, freight())], background());
  await assert.rejects(
    listen(() => "same"),
    /are both named "same"/,
  );
  await assert.rejects(
    listen(({ name }) => `rpc.${name}`),
    /gives "rpc\.sum" for test\.v1\.Freight\/sum/,
  );
  assert.throws(() => jsonRpc({ path: "rpc" }), /path must be the path of a URL, such as \/rpc, got "rpc"/);
  assert.throws(() => jsonRpc({ maxBatch: 0 }), /jsonRpc: maxBatch must be a number above 0, got 0/);
  assert.throws(() => jsonRpc({ compressMinBytes: -1 }), /compressMinBytes/);
  assert.throws(() => jsonRpcClient({ path: "/a?b" }), /jsonRpcClient: path/);
  assert.throws(() => jsonRpcClient({ maxBodyBytes: 0 }), /jsonRpcClient: maxBodyBytes/);
  assert.throws(() => jsonRpcClient().connect("ftp://x"), /jsonRpcClient: address "ftp:\/\/x"/);
});

test("the other protocols of the port go on beside it, REST routes and preflights too", async (t) => {
  const { address } = await serveFreight(t, { protocols: [jsonRpc()], cors: { origins: "*" } });
  assert.equal((await request(`${address}/cargos/7`)).statusCode, 200);
  assert.equal((await request(`${address}/rpcs`)).statusCode, 404);
  const preflight = await request(`${address}/rpc`, {
    method: "OPTIONS",
    headers: { origin: "https://a.example", "access-control-request-method": "POST" },
  });
  assert.equal(preflight.statusCode, 204);
  const { headers } = await post(address, JSON.stringify(call("sum", { a: 1, b: 2 }, 1)), {
    origin: "https://a.example",
  });
  assert.equal(headers["access-control-allow-origin"], "*");
});

test("params that contradict the contract are -32602, with the fields named", async (t) => {
  const { address } = await serve(t);
  const { error } = await ask(address, call("sum", { a: "1", b: 2 }, 1));
  assert.equal(error?.code, -32_602);
  assert.equal(error.data?.["code"], "invalid_argument");
  const details = error.data?.["details"] as { debug: { fieldViolations: { field: string }[] } }[];
  assert.deepEqual(
    details[0]!.debug.fieldViolations.map(({ field }) => field),
    ["a"],
  );
  assert.equal(
    (await ask(address, call("sum", [1, 2], 2))).error?.code,
    -32_602,
    "by position, where the input is an object",
  );
});

test("a method that streams cannot be called", async (t) => {
  const { address } = await serve(t);
  const { error } = await ask(address, call("count", { to: 3 }, 1));
  assert.deepEqual([error?.code, error?.message], [-32_601, "Method not found"]);
  assert.match(String(error?.data?.["message"]), /streams, which JSON-RPC cannot carry/);
});

test("an error is typed for clients of ours and legible for others; its cause stays", async (t) => {
  const { address, reported } = await serve(t);
  const asked = await ask(address, call("fail", { code: "not_found", message: "no such cargo" }, 1));
  assert.deepEqual([asked.error?.code, asked.error?.message], [-32_005, "no such cargo"]);
  assert.deepEqual([asked.error?.data?.["code"], asked.error?.data?.["reason"]], ["not_found", "ASKED"]);
  const plain = await post(address, JSON.stringify(call("fail", { code: "plain", message: "secret" }, 2)));
  assert.deepEqual(JSON.parse(plain.text), {
    jsonrpc: "2.0",
    error: { code: -32_603, message: "internal error", data: { code: "internal" } },
    id: 2,
  });
  assert.equal(reported.length, 1);
});

test("a notification is never answered, whatever becomes of it", async (t) => {
  const told: string[] = [];
  const { address, reported } = await serve(
    t,
    {},
    {
      mark(_ctx, { text }) {
        told.push(text);
        throw new Error("secret");
      },
    },
  );
  const bodies = [
    call("mark", { text: "once" }),
    call("mark", { text: 1 }),
    call("none", {}),
    { jsonrpc: "2.0", method: `${F}count`, params: { to: 1 } },
    [call("mark", { text: "twice" }), call("none", {})],
  ];
  for (const body of bodies) {
    const { status, text, headers } = await post(address, JSON.stringify(body));
    assert.deepEqual([status, text, headers["content-type"]], [204, "", undefined]);
  }
  const forbidden = await post(address, '{"jsonrpc":"2.0","method":"m","params":{"__proto__":1}}');
  assert.deepEqual([forbidden.status, forbidden.text], [204, ""]);
  assert.deepEqual(told, ["once", "twice"]);
  assert.equal(reported.length, 2);
});

test("a batch is served side by side, no more than so many at a time, and answered in its order", async (t) => {
  let running = 0;
  let most = 0;
  const waiting: (() => void)[] = [];
  const { address } = await serve(
    t,
    { batchConcurrency: 3 },
    {
      async echo(_ctx, { text }) {
        most = Math.max(most, ++running);
        await new Promise<void>((resolve) => waiting.push(resolve));
        running--;
        return { text };
      },
    },
  );
  const ids = Array.from({ length: 10 }, (_, i) => i);
  const answered = ask<Response[]>(
    address,
    ids.map((id) => call("echo", { text: `answer ${id}` }, id)),
  );
  let done = false;
  void answered.finally(() => {
    done = true;
  });
  await until("three are under way", () => waiting.length === 3);
  // The last that came is answered first.
  while (!done) {
    waiting.pop()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(
    (await answered).map(({ id, result }) => [id, result]),
    ids.map((id) => [id, { text: `answer ${id}` }]),
  );
  assert.equal(most, 3);
});

test("each of a batch has an answer of its own, duplicate ids and errors among them", async (t) => {
  const { address } = await serve(t);
  const answers = await ask<Response[]>(address, [
    call("sum", { a: 1, b: 1 }, 1),
    call("sum", { a: 2, b: 2 }, 1),
    call("fail", { code: "aborted" }, 1),
    call("sum", { a: 3, b: 3 }),
    call("echo", [], 2),
    [call("sum", { a: 4, b: 4 }, 3)],
    null,
    call("sum", { a: 5, b: 5 }, null),
  ]);
  assert.deepEqual(
    answers.map(({ id, result, error }) => [id, result ?? error?.code]),
    [
      [1, { v: 2 }],
      [1, { v: 4 }],
      [1, -32_010],
      [2, -32_602],
      [null, -32_600],
      [null, -32_600],
      [null, { v: 10 }],
    ],
  );
});

test("a batch that is too large is not served at all", async (t) => {
  let called = 0;
  const { address } = await serve(t, { maxBatch: 5 }, { echo: (_ctx, message) => (called++, message) });
  const { error, id } = await ask(
    address,
    Array.from({ length: 6 }, (_, i) => call("echo", { text: "" }, i)),
  );
  assert.deepEqual([error?.code, error?.message, id], [-32_600, "Invalid Request", null]);
  assert.equal(error?.data?.["message"], "a batch has 5 requests at most");
  assert.equal(called, 0);
  assert.equal(
    (
      await ask<Response[]>(
        address,
        Array.from({ length: 5 }, () => 1),
      )
    ).length,
    5,
  );
});

test("once the answers of a batch are large enough, no more of it is served", async (t) => {
  let served = 0;
  const echo: Implementation<typeof Freight>["echo"] = (_ctx, request) => (served++, request);
  const { address } = await serve(t, { maxBatchBytes: 1000, batchConcurrency: 1 }, { echo });
  const batch = [1, 2, 3, 4].map((id) => call("echo", { text: "x".repeat(600) }, id));
  const answers = await ask<Response[]>(address, batch);
  assert.deepEqual(
    answers.map(({ id, error }) => [id, error?.data?.["code"]]),
    [
      [1, undefined],
      [2, undefined],
      [3, "resource_exhausted"],
      [4, "resource_exhausted"],
    ],
  );
  assert.equal(served, 2);
  assert.throws(() => jsonRpc({ maxBatchBytes: 0 }), /jsonRpc: maxBatchBytes must be a number above 0, got 0/);
});

test("what is wrong with the HTTP request is said by its status, and as JSON-RPC", async (t) => {
  const { address } = await serve(t, { maxBodyBytes: 1000 });
  const body = JSON.stringify(call("sum", { a: 1, b: 2 }, 1));
  const large = JSON.stringify(call("echo", { text: "x".repeat(1000) }, 1));
  const cases: [number, string, Parameters<typeof post>[1], Record<string, string>][] = [
    [415, "unimplemented", body, { "content-type": "text/plain" }],
    [415, "unimplemented", body, { "content-type": "application/json; charset=utf-16" }],
    [415, "unimplemented", body, { "content-type": "application/jsonx" }],
    [415, "unimplemented", body, { "content-type": 'application/json; v=1; charset="latin1"' }],
    [415, "unimplemented", body, { "content-encoding": "zstd" }],
    [413, "resource_exhausted", large, {}],
    [413, "resource_exhausted", gzipSync(large), { "content-encoding": "gzip" }],
    [400, "invalid_argument", body, { "content-encoding": "gzip" }],
    [400, "invalid_argument", body, { "connect-timeout-ms": "soon" }],
  ];
  for (const [status, code, sent, headers] of cases) {
    const answer = await post(address, sent, headers);
    assert.equal(answer.status, status, JSON.stringify(headers));
    const { jsonrpc, error, id } = JSON.parse(answer.text) as Response;
    assert.deepEqual([jsonrpc, error?.data?.["code"], id], ["2.0", code, null]);
    // Whatever the status: no method was looked for.
    if (status !== 413) assert.equal(error?.code, -32_600);
  }
  for (const method of ["GET", "PUT", "DELETE", "OPTIONS"] as const) {
    const answer = await request(`${address}/rpc?x=1`, { method });
    assert.deepEqual([answer.statusCode, answer.headers["allow"]], [405, "POST"]);
    await answer.body.dump();
  }
  for (const type of [
    "application/json",
    "Application/JSON; charset=UTF-8",
    'application/json;charset="utf-8"',
    "application/json; v=1",
  ]) {
    assert.equal((await post(address, body, { "content-type": type })).status, 200, type);
  }
});

test("a body without announced length is cut off at the limit", async (t) => {
  const { port, listening } = await serve(t, { maxBodyBytes: 1000 });
  const raw = await RawConnection.open(port);
  raw.send("POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
  for (let i = 0; i < 11; i++) raw.send(`64\r\n${" ".repeat(100)}\r\n`);
  const answer = await raw.answer();
  assert.equal(answer?.status, 413);
  assert.equal(answer?.headers.get("connection"), "close", "what were sent behind the rest might be lost with it");
  raw.destroy();
  await until("nothing is in flight", () => listening.inFlight === 0);
});

test("a body that does not come is waited for no longer than a call may take", async (t) => {
  const { port, listening } = await serve(t, { timeoutMs: 60 });
  const raw = await RawConnection.open(port);
  raw.send('POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"jsonrpc"');
  const answer = await raw.answer();
  assert.equal(answer?.status, 408);
  assert.equal((JSON.parse(answer.body) as Response).error?.data?.["code"], "deadline_exceeded");
  raw.destroy();
  await until("nothing is in flight", () => listening.inFlight === 0);
});

test("compression both ways, where the peer accepts it and it pays", async (t) => {
  const { address } = await serve(t);
  const text = "x".repeat(5000);
  const body = gzipSync(JSON.stringify(call("echo", { text }, 1)));
  const answer = await request(`${address}/rpc`, {
    method: "POST",
    headers: { "content-type": "application/json", "content-encoding": "gzip", "accept-encoding": "gzip" },
    body,
  });
  assert.equal(answer.headers["content-encoding"], "gzip");
  const plain = JSON.parse(gunzipSync(await answer.body.bytes()).toString()) as Response;
  assert.deepEqual(plain.result, { text });
  const small = await post(address, JSON.stringify(call("echo", { text: "x" }, 1)), { "accept-encoding": "gzip" });
  assert.equal(small.headers["content-encoding"], undefined);
});

test("headers and trailers of a handler come with a single answer, and not with a batch", async (t) => {
  const { address } = await serve(
    t,
    {},
    {
      echo(ctx, message) {
        serverCall(ctx)!.responseHeaders.append("x-many", "1");
        serverCall(ctx)!.responseHeaders.append("x-many", "2");
        serverCall(ctx)!.responseTrailers.set("x-after", "3");
        return message;
      },
    },
  );
  const { headers } = await post(address, JSON.stringify(call("echo", { text: "" }, 1)));
  assert.deepEqual([headers["x-many"], headers["trailer-x-after"]], [["1", "2"], "3"]);
  const batch = await post(address, JSON.stringify([call("echo", { text: "" }, 1)]));
  assert.deepEqual([batch.headers["x-many"], batch.headers["trailer-x-after"]], [undefined, undefined]);
});

test("what a call of a batch writes to its headers the others do not read", async (t) => {
  const seen: (string | undefined)[] = [];
  const { address } = await serve(
    t,
    {},
    {
      echo(ctx, request) {
        const { headers } = serverCall(ctx)!;
        seen.push(headers.get("x-user"));
        headers.set("x-user", request.text);
        return request;
      },
    },
  );
  const batch = [call("echo", { text: "a" }, 1), call("echo", { text: "b" }, 2)];
  await ask(address, batch);
  await ask(address, batch, { "connect-timeout-ms": "20000" });
  assert.deepEqual(seen, [undefined, undefined, undefined, undefined]);
});

test("the caller's deadline counts from the request, for all of a batch", async (t) => {
  let called = 0;
  const { address } = await serve(
    t,
    { batchConcurrency: 1 },
    {
      async echo(ctx) {
        called++;
        await new Promise<void>((resolve) => void afterFunc(ctx, resolve));
        throw ctx.err!;
      },
    },
  );
  const batch = [1, 2, 3].map((id) => call("echo", { text: "" }, id));
  const answers = await ask<Response[]>(address, batch, { "connect-timeout-ms": "50" });
  assert.deepEqual(
    answers.map(({ id, error }) => [id, error?.data?.["code"]]),
    [1, 2, 3].map((id) => [id, "deadline_exceeded"]),
  );
  assert.equal(called, 1, "what has no time left reaches no handler");
});

test("a client that goes away cancels what it asked for, and nothing more begins", async (t) => {
  const causes: unknown[] = [];
  const { port, listening } = await serve(
    t,
    { batchConcurrency: 2 },
    {
      async hang(ctx) {
        await new Promise<void>((resolve) => void afterFunc(ctx, resolve));
        causes.push(ctx.err!.code);
        throw ctx.err!;
      },
    },
  );
  const raw = await RawConnection.open(port);
  const body = JSON.stringify([1, 2, 3, 4].map((id) => call("hang", {}, id)));
  raw.send(
    `POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await until("two are under way", () => listening.inFlight === 2);
  raw.destroy();
  await until("nothing is in flight", () => listening.inFlight === 0);
  await until("both have ended", () => causes.length === 2);
  assert.deepEqual(causes, ["canceled", "canceled"]);
});

test("calls beyond the limit are refused before their body is read", async (t) => {
  const { address, listening } = await serve(t, { maxConcurrentRequests: 1 });
  const ctx = withCancel(background());
  const connection = jsonRpcClient().connect(address);
  t.after(() => connection.close());
  const client = stub(Freight, (method) => connection.endpoint(method));
  const hanging = failureOf(client.hang(ctx, {}));
  await until("one is in flight", () => listening.inFlight === 1);
  const { status, text } = await post(address, JSON.stringify(call("sum", { a: 1, b: 2 }, 1)));
  assert.deepEqual([status, (JSON.parse(text) as Response).error?.code], [503, -32_014]);
  assert.equal((await failureOf(client.sum(background(), { a: 1, b: 2 }))).code, "unavailable");
  ctx.cancel();
  assert.equal((await hanging).code, "canceled");
});

test("telemetry hears of each call, and of what was none", async (t) => {
  const finished: FinishedCall[] = [];
  const observer = {
    method: () => ({ begin: () => ({ trace: undefined, end: (one: FinishedCall) => void finished.push(one) }) }),
  };
  const root = withCancel(withValue(background(), serverObserverKey, observer));
  const listening = await http({ protocols: [jsonRpc()] }).listen([implement(Freight, freight())], root);
  t.after(() => listening.close());
  const { address } = listening;
  await ask(address, call("sum", { a: 1, b: 2 }, 1));
  await ask(address, call("fail", { code: "aborted" }, 1));
  await ask(address, call("none", {}, 1));
  await post(address, "{");
  await post(address, "{}", { "content-type": "text/plain" });
  assert.deepEqual(
    finished.map(({ method, protocol, code, status }) => [method?.name, protocol, code, status]),
    [
      ["sum", "jsonrpc", "ok", 200],
      ["fail", "jsonrpc", "aborted", 200],
      [undefined, "jsonrpc", "unimplemented", 200],
      [undefined, "jsonrpc", "invalid_argument", 200],
      [undefined, "jsonrpc", "unimplemented", 415],
    ],
  );
  assert.equal(finished[0]!.requestBytes, JSON.stringify(call("sum", { a: 1, b: 2 }, 1)).length);
  finished.length = 0;
  const batch = [call("sum", { a: 1, b: 2 }, 1), call("none", {}, 2), call("none", {}), {}];
  await ask(address, batch);
  const bytes = finished.reduce((sum, { requestBytes }) => sum + requestBytes, 0);
  const sent = JSON.stringify(batch).length;
  assert.ok(bytes >= sent && bytes < sent + batch.length, `each has its share of ${sent} bytes: ${bytes} in all`);
});

test("what is in flight when the server drains is answered", async (t) => {
  let go!: () => void;
  const wait = new Promise<void>((resolve) => {
    go = resolve;
  });
  const { address, listening } = await serve(t, {}, { echo: (_ctx, message) => wait.then(() => message) });
  const answered = post(address, JSON.stringify([call("echo", { text: "a" }, 1), call("echo", { text: "b" }, 2)]));
  await until("both are in flight", () => listening.inFlight === 2);
  const drained = listening.drain();
  go();
  const { text, headers } = await answered;
  assert.equal((JSON.parse(text) as Response[]).length, 2);
  assert.equal(headers["connection"], "close, drain");
  await drained;
});

test("what is no UTF-8 is no JSON, whatever it looks like", async (t) => {
  const { address } = await serve(t);
  const body = Buffer.from(
    '{"jsonrpc":"2.0","method":"test.v1.Freight.sum","params":{"a":1,"b":2},"id":"\xff"}',
    "latin1",
  );
  const { error, id } = JSON.parse((await post(address, body)).text) as Response;
  assert.deepEqual([error?.code, id], [-32_700, null]);
});

test("any bytes get a valid answer of JSON-RPC, or none", async (t) => {
  const { address, listening } = await serve(t, { maxBatch: 8 });
  const member = fc.oneof(
    fc.constantFrom(
      call("sum", { a: 1, b: 2 }, 1),
      call("echo", { text: "x" }),
      call("fail", { code: "aborted" }, "f"),
    ),
    fc.jsonValue(),
  );
  const bodies = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(member, { maxLength: 10 }).map((value) => Buffer.from(JSON.stringify(value))),
    fc.tuple(member, fc.nat(), fc.nat(255)).map(([value, at, byte]) => {
      const bytes = Buffer.from(JSON.stringify(value));
      bytes[at % bytes.length] = byte;
      return bytes;
    }),
  );
  await fc.assert(
    fc.asyncProperty(bodies, async (body) => {
      const { status, text } = await post(address, body);
      if (status === 204) return assert.equal(text, "");
      assert.equal(status, 200);
      const value = JSON.parse(text) as Response | Response[];
      const answers = Array.isArray(value) ? value : [value];
      assert.ok(answers.length > 0 && answers.length <= 8);
      for (const answer of answers) {
        assert.equal(answer.jsonrpc, "2.0");
        assert.ok(Object.hasOwn(answer, "id"));
        assert.notEqual(Object.hasOwn(answer, "result"), Object.hasOwn(answer, "error"));
        if (answer.error === undefined) continue;
        assert.ok(Number.isInteger(answer.error.code));
        assert.equal(typeof answer.error.message, "string");
      }
    }),
    { numRuns: 400 },
  );
  assert.equal(listening.inFlight, 0);
});

test("a client is told of its own deadline, and the call is not sent when it has passed", async (t) => {
  const { address } = await serve(t);
  const connection = jsonRpcClient().connect(address);
  t.after(() => connection.close());
  const client = stub(Freight, (method) => connection.endpoint(method));
  assert.equal((await failureOf(client.hang(withTimeout(background(), 30), {}))).code, "deadline_exceeded");
  assert.equal((await failureOf(client.hang(withTimeout(background(), 0), {}))).code, "deadline_exceeded");
});
