import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { test } from "node:test";
import { background } from "../../context/with.ts";
import { failureOf } from "../../testing/transport-bed.ts";
import { nothingEscapes } from "../http/test-fixtures/bed.ts";
import { grpcClient } from "./client.ts";
import { grpc } from "./server.ts";
import { TestContract } from "./test-fixtures/interop-flotilla.ts";

nothingEscapes();

test("a connection that is closed in the very moment in which it opens fails its calls, and nothing else", async (t) => {
  const listening = await grpc().listen([], background());
  t.after(() => listening.close());
  const connection = grpcClient().connect(listening.address);
  // Between the socket's opening and that of the session, which node tells of in the next tick.
  const opening = (told: unknown): void => {
    (told as { readonly socket: Socket }).socket.once("connect", () => process.nextTick(() => void connection.close()));
  };
  subscribe("net.client.socket", opening);
  const unaryCall = TestContract.methods.find(({ name }) => name === "UnaryCall")!;
  try {
    assert.equal((await failureOf(connection.endpoint(unaryCall)(background(), {}))).code, "unavailable");
  } finally {
    unsubscribe("net.client.socket", opening);
  }
});
