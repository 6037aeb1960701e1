// The official client invokes a function that runs in a process of its own, through an endpoint that has the platform's API for it.
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
import { background, withTimeout } from "../../../context/with.ts";
import type { Client } from "../../../contract/contract.ts";
import { client } from "../../../service/channel.ts";
import { failureOf } from "../../../testing/transport-bed.ts";
import { Freight } from "../test-fixtures/freight.ts";
import { lambdaClient } from "./client.ts";
import { RuntimeApi } from "./test-fixtures/runtime-api.ts";

let functions: RuntimeApi;
const server = createServer((req, res) => {
  answer(req, res).catch((error: unknown) => res.destroy(error as Error));
});
let aws: LambdaClient;
let freight: Client<typeof Freight> & AsyncDisposable;

/** Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html */
async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  let body = "";
  for await (const chunk of req.setEncoding("utf8")) body += chunk as string;
  const name = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/.exec(req.url!)?.[1];
  if (name === "busy") return refuse(res, 429, "TooManyRequestsException", { "retry-after": "3" });
  if (name !== "freight%3Alive") return refuse(res, 404, "ResourceNotFoundException");
  const outcome = await functions.invoke(JSON.parse(body));
  if ("response" in outcome) res.writeHead(200).end(JSON.stringify(outcome.response));
  else res.writeHead(200, { "x-amz-function-error": "Unhandled" }).end(JSON.stringify(outcome.error));
}

function refuse(res: ServerResponse, status: number, type: string, headers: Record<string, string> = {}): void {
  res.writeHead(status, { ...headers, "content-type": "application/json", "x-amzn-errortype": type });
  res.end(JSON.stringify({ Message: `answered with ${status}` }));
}

function calling(address: string) {
  return client(Freight, {
    discover: [address],
    transport: lambdaClient({ invoke: (input, options) => aws.send(new InvokeCommand(input), options) }),
  });
}

before(async () => {
  functions = await RuntimeApi.start(new URL("test-fixtures/function.ts", import.meta.url));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  aws = new LambdaClient({
    region: "us-east-2",
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: "none", secretAccessKey: "none" },
    maxAttempts: 1,
  });
  freight = calling("lambda://freight/live");
});

after(async () => {
  await freight?.[Symbol.asyncDispose]();
  aws?.destroy();
  server.closeAllConnections();
  server.close();
  await functions?.close();
});

test("a call, and an error with its details and metadata", async () => {
  assert.deepEqual(await freight.sum(background(), { a: 1, b: 2 }), { v: 3 });
  const error = await failureOf(freight.fail(background(), { code: "not_found", message: "göne" }));
  assert.deepEqual([error.code, error.message, error.metadata?.["x-reason"]], ["not_found", "göne", "asked"]);
  assert.equal((error.details[0]!.value as { reason: string }).reason, "ASKED");
});

test("a deadline crosses to the function", async () => {
  const ctx = withTimeout(background(), 300);
  const error = await failureOf(freight.hang(ctx, {}));
  assert.equal(error.code, "deadline_exceeded");
  // One process, one event at a time: it is free again.
  assert.deepEqual(await freight.sum(background(), { a: 2, b: 2 }), { v: 4 });
});

test("what the platform refuses", async () => {
  const refusals = [
    ["lambda://busy", "resource_exhausted", { unprocessed: true, afterMs: 3000 }],
    ["lambda://nobody", "unavailable", { unprocessed: true }],
  ] as const;
  for (const [address, code, retry] of refusals) {
    const connection = lambdaClient({
      invoke: (input, options) => aws.send(new InvokeCommand(input), options),
    }).connect(address);
    const [method] = Freight.methods;
    const error = await failureOf(connection.endpoint(method!)(background(), { a: 1, b: 2 }));
    assert.deepEqual([error.code, error.retry], [code, retry]);
  }
});
