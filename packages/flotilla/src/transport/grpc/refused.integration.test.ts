import assert from "node:assert/strict";
import { once } from "node:events";
import { constants, createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { background, withTimeout } from "../../context/with.ts";
import { stub } from "../../service/stub.ts";
import { failureOf } from "../../testing/transport-bed.ts";
import { grpcClient } from "./client.ts";
import { TestContract } from "./test-fixtures/interop-flotilla.ts";

test("a call that was refused and sent once more still ends with its context", async (t) => {
  let streams = 0;
  const sessions: ServerHttp2Session[] = [];
  const server = createServer();
  server.on("session", (session) => sessions.push(session));
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    // Every other one is never answered.
    if (streams++ % 2 === 0) stream.close(constants.NGHTTP2_REFUSED_STREAM);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const connection = grpcClient().connect(`grpc://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.after(async () => {
    await connection.close();
    server.close();
    for (const session of sessions) session.destroy();
  });
  const calls = stub(TestContract, (method) => connection.endpoint(method));
  const late = (): ReturnType<typeof withTimeout> => withTimeout(background(), 100);
  assert.equal((await failureOf(calls.unaryCall(late(), {}))).code, "deadline_exceeded");
  const answers = calls.streamingOutputCall(late(), {})[Symbol.asyncIterator]();
  assert.equal((await failureOf(answers.next())).code, "deadline_exceeded");
  assert.equal(streams, 4);
});
