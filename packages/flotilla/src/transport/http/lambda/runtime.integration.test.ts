// A function in a process of its own, which asks the runtime API for its events, as on the platform.
import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { curl } from "../test-fixtures/curl.ts";
import type { ApiGatewayEventV2, ApiGatewayResultV1, ApiGatewayResultV2, InvokeResult } from "./events.ts";
import { functionUrlEvent, httpApiEvent, restApiEvent } from "./test-fixtures/events.ts";
import { type InvocationError, RuntimeApi } from "./test-fixtures/runtime-api.ts";

let api: RuntimeApi;

before(async () => {
  api = await RuntimeApi.start(new URL("test-fixtures/function.ts", import.meta.url));
});

after(() => api.close());

async function response<T>(event: unknown, timeoutMs?: number): Promise<T> {
  const outcome = await api.invoke(event, timeoutMs);
  assert.ok("response" in outcome, `failed: ${JSON.stringify(outcome)}`);
  return outcome.response as T;
}

const sum = { path: "/test.v1.Freight/sum", headers: ["content-type", "application/json"], body: '{"a":1,"b":2}' };

test("events of all four kinds, one after the other in one process", async () => {
  for (let i = 0; i < 3; i++) {
    const rest = await response<ApiGatewayResultV1>(restApiEvent(sum));
    assert.deepEqual(rest, {
      statusCode: 200,
      headers: { "content-type": "application/json" },
      multiValueHeaders: {},
      body: '{"v":3}',
      isBase64Encoded: false,
    });
    for (const event of [httpApiEvent(sum), functionUrlEvent(sum)]) {
      assert.deepEqual(await response<ApiGatewayResultV2>(event), {
        statusCode: 200,
        headers: { "content-type": "application/json" },
        cookies: [],
        body: '{"v":3}',
        isBase64Encoded: false,
      });
    }
    const invoked = await response<InvokeResult>({ method: "test.v1.Freight/sum", input: { a: 1, b: 2 } });
    assert.deepEqual(invoked, { output: { v: 3 }, metadata: {} });
  }
});

test("failures as the platform reports them", async () => {
  const failed = async (event: unknown, timeoutMs?: number): Promise<InvocationError> => {
    const outcome = await api.invoke(event, timeoutMs);
    assert.ok("error" in outcome, `did not fail: ${JSON.stringify(outcome)}`);
    return outcome.error;
  };
  const asked = { method: "test.v1.Freight/fail", input: { code: "not_found", message: "gone" } };
  const { errorType, errorMessage, trace } = await failed(asked);
  assert.equal(errorType, "not_found");
  assert.equal((JSON.parse(errorMessage) as { message: string }).message, "gone");
  assert.equal(trace.length, 1, "no stack gets out");
  assert.equal((await failed({ method: "test.v1.Freight/hang" }, 400)).errorType, "deadline_exceeded");
  assert.equal((await failed({ Records: [] })).errorType, "TypeError");
  const late = await response<ApiGatewayResultV2>(
    httpApiEvent({ ...sum, path: "/test.v1.Freight/hang", body: "{}" }),
    400,
  );
  assert.equal(late.statusCode, 504);
});

/** A request as the function URL would hand it on. */
async function eventOf(req: IncomingMessage): Promise<ApiGatewayEventV2> {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk as Buffer);
  const [path, query = ""] = req.url!.split("?") as [string, string?];
  const body = Buffer.concat(chunks);
  const asked = { method: req.method!, path, query, headers: req.rawHeaders };
  return functionUrlEvent(body.byteLength > 0 ? { ...asked, body } : asked);
}

test("curl through a gateway in front of it", async (t) => {
  const gateway = createServer((req, res) => {
    const answered = eventOf(req).then((event) => response<ApiGatewayResultV2>(event));
    answered.then(
      ({ statusCode, headers, cookies, body, isBase64Encoded }) => {
        res.writeHead(statusCode, { ...headers, "set-cookie": cookies.slice() });
        res.end(Buffer.from(body, isBase64Encoded ? "base64" : "utf8"));
      },
      (error: unknown) => res.destroy(error as Error),
    );
  });
  await new Promise<void>((resolve) => void gateway.listen(0, "127.0.0.1", resolve));
  t.after(() => new Promise((resolve) => gateway.close(resolve)));
  const at = `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`;
  const type = ["--header", "content-type: application/json"];
  const connect = await curl(`${at}/test.v1.Freight/sum`, ...type, "--data", '{"a":1,"b":2}');
  assert.deepEqual([connect.status, connect.body], [200, '{"v":3}']);
  const rest = await curl(`${at}/cargos/a%20b?tons=2`);
  assert.deepEqual([rest.status, rest.body], [200, '{"id":"a b","tons":2}']);
  const request = '{"jsonrpc":"2.0","method":"test.v1.Freight.sum","params":{"a":1,"b":2},"id":1}';
  const rpc = await curl(`${at}/rpc`, ...type, "--data", request);
  assert.deepEqual([rpc.status, rpc.body], [200, '{"jsonrpc":"2.0","result":{"v":3},"id":1}']);
  assert.equal((await curl(`${at}/none`)).status, 404);
});
