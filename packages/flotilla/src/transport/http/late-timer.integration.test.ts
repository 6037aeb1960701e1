// A connection that is lost when the deadline of its call has passed, before any timer could say so: the deadline is what the call ended with.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../../clock/clock.ts";
import { background, withTimeout } from "../../context/with.ts";
import type { Connector } from "../../endpoint/transport.ts";
import { stub } from "../../service/stub.ts";
import { until } from "../../testing/discovery-recorder.ts";
import { failureOf } from "../../testing/transport-bed.ts";
import { grpcClient } from "../grpc/client.ts";
import { httpClient } from "./client.ts";
import { rawUpstream } from "./proxy/test-fixtures/proxied.ts";
import { nothingEscapes } from "./test-fixtures/bed.ts";
import { Freight } from "./test-fixtures/freight.ts";

nothingEscapes();

const connectors: Record<string, Connector> = {
  "HTTP/1.1": httpClient(),
  "HTTP/2": httpClient({ http2: true }),
  gRPC: grpcClient(),
};

for (const [name, connector] of Object.entries(connectors)) {
  test(`a connection lost behind the deadline is the deadline: ${name}`, async (t) => {
    let nowMs = 0;
    const clock: Clock = { now: () => nowMs, epoch: () => nowMs, schedule: () => ({ cancel() {}, unref() {} }) };
    let asked = 0;
    const server = await rawUpstream(t, () => void asked++);
    const connection = connector.connect(server.address.replace("http", connector.protocol));
    t.after(() => connection.close());
    const { echo, count } = stub(Freight, (method) => connection.endpoint(method));
    for (const [lateMs, code] of [
      [0, "deadline_exceeded"],
      [-1, "unavailable"],
    ] as const) {
      const ctx = withTimeout(background(clock), 100);
      const calls = [
        failureOf(echo(ctx, { text: "" })),
        failureOf(count(ctx, { to: 1 })[Symbol.asyncIterator]().next()),
      ];
      await until("they are sent", () => asked > 0 && server.sockets.length >= (name === "HTTP/1.1" ? 2 : 1));
      nowMs += 100 + lateMs;
      for (const socket of server.sockets.splice(0)) socket.destroy();
      assert.deepEqual(
        (await Promise.all(calls)).map((error) => error.code),
        [code, code],
      );
      asked = 0;
    }
  });
}
