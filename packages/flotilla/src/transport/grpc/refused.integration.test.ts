import assert from "node:assert/strict";
import { once } from "node:events";
import { constants, createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { background, withCancel } from "../../context/with.ts";
import { stub } from "../../service/stub.ts";
import { until } from "../../testing/discovery-recorder.ts";
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
  const first = withCancel(background());
  const call = failureOf(calls.unaryCall(first, {}));
  await until("it is sent once more", () => streams === 2);
  first.cancel();
  assert.equal((await call).code, "canceled");
  const second = withCancel(background());
  const answer = failureOf(calls.streamingOutputCall(second, {})[Symbol.asyncIterator]().next());
  await until("it is sent once more", () => streams === 4);
  second.cancel();
  assert.equal((await answer).code, "canceled");
});
