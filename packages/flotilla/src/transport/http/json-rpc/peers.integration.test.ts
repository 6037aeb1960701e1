// Foreign peers, both ways: jayson, json-rpc-2.0 and curl.
import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, type TestContext, test } from "node:test";
import fc from "fast-check";
import jayson from "jayson/promise/index.js";
import { JSONRPCClient, JSONRPCErrorException, JSONRPCServer } from "json-rpc-2.0";
import { z } from "zod";
import { background } from "../../../context/with.ts";
import { type Client, contract } from "../../../contract/contract.ts";
import { unary } from "../../../contract/method.ts";
import { findDetail } from "../../../errors/details.ts";
import { ServiceError } from "../../../errors/service-error.ts";
import { stub } from "../../../service/stub.ts";
import { failureOf } from "../../../testing/transport-bed.ts";
import { nothingEscapes, serveFreight } from "../test-fixtures/bed.ts";
import { curl } from "../test-fixtures/curl.ts";
import { jsonRpcClient } from "./client.ts";
import { FOREIGN_ERROR } from "./errors.ts";
import { jsonRpc } from "./server.ts";
import { post, type Response } from "./test-fixtures/post.ts";

nothingEscapes();

const F = "test.v1.Freight.";
/** What jayson's client takes for a notification, and its types for nothing. */
const NO_ID = null as unknown as undefined;
const ctx = background();

describe("our server", () => {
  const serve = (t: TestContext) => serveFreight(t, { protocols: [jsonRpc()] });

  test("jayson's client: call, error, notification, batch", async (t) => {
    const { port } = await serve(t);
    const client = jayson.Client.http({ port, host: "127.0.0.1", path: "/rpc" });
    assert.deepEqual((await client.request(`${F}sum`, { a: 1, b: 2 })).result, { v: 3 });
    const { error } = await client.request(`${F}fail`, { code: "not_found", message: "gone" });
    assert.deepEqual([error.code, error.message, error.data.code], [-32_005, "gone", "not_found"]);
    assert.equal(await client.request(`${F}echo`, { text: "" }, NO_ID), undefined);
    const batch = [
      client.request(`${F}sum`, { a: 1, b: 2 }, "one", false),
      client.request(`${F}echo`, { text: "told" }, NO_ID, false),
      client.request(`${F}none`, {}, "two", false),
    ];
    const answers = (await client.request(batch)) as Response[];
    assert.deepEqual(
      answers.map(({ id, result, error: failed }) => [id, result ?? failed?.code]),
      [
        ["one", { v: 3 }],
        ["two", -32_601],
      ],
    );
  });

  test("json-rpc-2.0's client: call, error, notification, batch", async (t) => {
    const { address } = await serve(t);
    const client = new JSONRPCClient(async (request) => {
      const { status, text } = await post(address, JSON.stringify(request));
      if (status !== 204) client.receive(JSON.parse(text) as Parameters<typeof client.receive>[0]);
    });
    assert.deepEqual(await client.request(`${F}sum`, { a: 1, b: 2 }), { v: 3 });
    client.notify(`${F}echo`, { text: "" });
    await assert.rejects(
      async () => client.request(`${F}fail`, { code: "aborted", message: "no" }),
      (error: JSONRPCErrorException) => error.code === -32_010 && error.message === "no",
    );
    const answers = await client.requestAdvanced([
      { jsonrpc: "2.0", method: `${F}sum`, params: { a: 2, b: 2 }, id: 1 },
      { jsonrpc: "2.0", method: `${F}sum`, params: { a: 3, b: 3 }, id: 2 },
    ]);
    assert.deepEqual(
      answers.map(({ result }) => result as unknown),
      [{ v: 4 }, { v: 6 }],
    );
  });

  test("curl", async (t) => {
    const { address } = await serve(t);
    const call = (body: string, ...args: string[]) =>
      curl(`${address}/rpc`, "--header", "content-type: application/json", "--data", body, ...args);
    const body = `{"jsonrpc":"2.0","method":"${F}sum","params":{"a":1,"b":2},"id":1}`;
    for (const version of ["--http1.1", "--http2-prior-knowledge"]) {
      const answer = await call(body, version);
      assert.deepEqual([answer.status, answer.body], [200, '{"jsonrpc":"2.0","result":{"v":3},"id":1}']);
      const none = await call(`{"jsonrpc":"2.0","method":"${F}sum","params":{"a":1,"b":2}}`, version);
      assert.deepEqual([none.status, none.body], [204, ""]);
    }
    assert.equal((await call(body, "--header", "expect: 100-continue")).status, 200);
  });
});

const Calculator = contract("calc.v1.Calculator", {
  add: unary({ input: z.object({ a: z.number(), b: z.number() }), output: z.object({ v: z.number() }) }),
  pair: unary({ input: z.tuple([z.number(), z.number()]), output: z.number() }),
  fail: unary({ input: z.object({}), output: z.number() }),
  none: unary({ input: z.object({}), output: z.number() }),
  crash: unary({ input: z.object({}), output: z.number() }),
});

/** Calls a foreign server as its clients would: by the bare name. */
function call(t: TestContext, port: number): Client<typeof Calculator> {
  const connection = jsonRpcClient({ path: "/", methodName: ({ name }) => name }).connect(`http://127.0.0.1:${port}`);
  t.after(() => connection.close());
  return stub(Calculator, (method) => connection.endpoint(method));
}

async function checkClient(client: Client<typeof Calculator>): Promise<void> {
  assert.deepEqual(await client.add(ctx, { a: 1, b: 2 }), { v: 3 });
  assert.equal(await client.pair(ctx, [4, 5]), 9);
  const many = await Promise.all(Array.from({ length: 50 }, (_, i) => client.add(ctx, { a: i, b: i })));
  assert.deepEqual(
    many.map(({ v }) => v),
    many.map((_, i) => 2 * i),
  );
  const failed = await failureOf(client.fail(ctx, {}));
  assert.deepEqual([failed.code, failed.message], ["unknown", "as asked"]);
  assert.deepEqual(findDetail(failed, FOREIGN_ERROR), { code: 42, data: { why: "test" } });
  assert.equal((await failureOf(client.none(ctx, {}))).code, "unimplemented");
}

async function answerTo(rpc: JSONRPCServer, req: IncomingMessage) {
  let text = "";
  for await (const chunk of req) text += String(chunk);
  return rpc.receiveJSON(text);
}

describe("our client", () => {
  test("jayson's server", async (t) => {
    const server = new jayson.Server(
      {
        add: async ({ a, b }: { a: number; b: number }) => ({ v: a + b }),
        pair: async ([a, b]: [number, number]) => a + b,
        // It takes plain objects only for errors.
        fail: () => Promise.reject({ code: 42, message: "as asked", data: { why: "test" } }),
      },
      { useContext: false },
    ).http();
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    await checkClient(call(t, (server.address() as AddressInfo).port));
  });

  test("json-rpc-2.0's server", async (t) => {
    const rpc = new JSONRPCServer({ errorListener: () => {} });
    rpc.addMethod("add", ({ a, b }: { a: number; b: number }) => ({ v: a + b }));
    rpc.addMethod("pair", ([a, b]: [number, number]) => a + b);
    rpc.addMethod("fail", () => {
      throw new JSONRPCErrorException("as asked", 42, { why: "test" });
    });
    const server = createServer((req, res) => {
      void answerTo(rpc, req).then((answer) => {
        res.writeHead(answer === null ? 204 : 200, { "content-type": "application/json" });
        res.end(answer === null ? undefined : JSON.stringify(answer));
      });
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    await checkClient(call(t, (server.address() as AddressInfo).port));
  });

  test("answers that are none fail the call, each with what it is", async (t) => {
    let answer: { status: number; type?: string; body: string } = { status: 200, body: "" };
    const server = createServer((req, res) => {
      req.resume().on("end", () => {
        res.writeHead(answer.status, { "content-type": answer.type ?? "application/json" });
        res.end(answer.body);
      });
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const port = (server.address() as AddressInfo).port;
    const cases: [Partial<typeof answer>, string][] = [
      [{ body: '{"jsonrpc":"2.0","result":1,"id":7}' }, "internal"],
      [{ body: '{"jsonrpc":"2.0","result":1,"id":"1"}' }, "internal"],
      [{ body: '{"jsonrpc":"2.0","result":1}' }, "internal"],
      [{ body: '{"jsonrpc":"1.0","result":1,"id":1}' }, "internal"],
      [{ body: '{"result":1,"error":null,"id":1}' }, "internal"],
      [{ body: '{"jsonrpc":"2.0","id":1}' }, "internal"],
      [{ body: '[{"jsonrpc":"2.0","result":1,"id":1}]' }, "internal"],
      [{ body: '{"jsonrpc":"2.0","error":{"code":"x","message":"y"},"id":1}' }, "internal"],
      [{ body: '{"jsonrpc":"2.0","error":{"code":-32601,"message":"y"},"id":2}' }, "internal"],
      [{ body: '{"jsonrpc":"2.0","error":{"code":-32601,"message":"y"},"id":null}' }, "unimplemented"],
      [{ body: '{"jsonrpc":"2.0","result":{"__proto__":1},"id":1}' }, "internal"],
      [{ body: "" }, "internal"],
      [{ body: "{" }, "internal"],
      [{ status: 204 }, "unknown"],
      [{ status: 404, type: "text/html", body: "<h1>no</h1>" }, "unimplemented"],
      [{ status: 503, type: "text/html", body: "<h1>no</h1>" }, "unavailable"],
      [{ status: 401 }, "unauthenticated"],
      // A proxy of ours, which knows nothing of JSON-RPC, and one of somebody else's.
      [{ status: 504, type: "application/problem+json", body: '{"code":"deadline_exceeded"}' }, "deadline_exceeded"],
      [{ status: 504, type: "application/problem+json", body: '{"code":"E17","detail":"late"}' }, "unavailable"],
      [{ status: 504, type: "application/problem+json", body: "null" }, "unavailable"],
    ];
    for (const [given, code] of cases) {
      answer = { status: 200, body: "", ...given };
      const error = await failureOf(call(t, port).fail(ctx, {}));
      assert.equal(error.code, code, JSON.stringify(given));
    }
    answer = { status: 200, body: '{"jsonrpc":"2.0","result":5,"error":null,"id":1}' };
    assert.equal(await call(t, port).fail(ctx, {}), 5, "an error that is null is none");
  });

  test("any answer is a result or a ServiceError", async (t) => {
    let answer = { status: 200, body: new Uint8Array() };
    const server = createServer((req, res) => {
      req.resume().on("end", () => {
        res.writeHead(answer.status, { "content-type": "application/json" });
        res.end(answer.body);
      });
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    t.after(() => server.close());
    const calls = call(t, (server.address() as AddressInfo).port);
    const member = {
      jsonrpc: fc.oneof(fc.constant("2.0"), fc.jsonValue()),
      id: fc.oneof(fc.nat(500), fc.jsonValue()),
      result: fc.jsonValue(),
      error: fc.oneof(
        fc.record({ code: fc.oneof(fc.integer(), fc.jsonValue()), message: fc.jsonValue(), data: fc.jsonValue() }),
        fc.jsonValue(),
      ),
    };
    const response = fc.record(member, { requiredKeys: [], noNullPrototype: true });
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      response.map((value) => Buffer.from(JSON.stringify(value))),
      fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value))),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(200, 200, 200, 400, 404, 500, 503), body, async (status, bytes) => {
        answer = { status, body: bytes };
        try {
          await calls.fail(ctx, {});
          assert.equal(status, 200);
        } catch (error) {
          assert.ok(error instanceof ServiceError, String(error));
        }
      }),
      { numRuns: 500 },
    );
  });
});
