import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { connect as connectSocket } from "node:net";
import { test } from "node:test";
import { background } from "../../context/with.ts";
import { nothingEscapes } from "../http/test-fixtures/bed.ts";
import { grpc } from "./server.ts";

nothingEscapes();

test("a server asks its clients for a sign of life: who answers stays, who is silent is cut", {
  timeout: 20_000,
}, async (t) => {
  const listening = await grpc({ keepalive: { everyMs: 100, timeoutMs: 60 } }).listen([], background());
  t.after(() => listening.close());
  const port = Number(new URL(listening.address).port);
  const alive = connect(`http://127.0.0.1:${port}`);
  alive.on("error", () => {});
  t.after(() => alive.destroy());
  let pings = 0;
  alive.on("ping", () => pings++);
  // Says what it must, once, and never a word after that.
  const silent = connectSocket(port, "127.0.0.1");
  silent.on("error", () => {});
  silent.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0");
  silent.resume();
  await once(silent, "close");
  while (pings < 3) await once(alive, "ping");
  assert.equal(alive.destroyed || alive.closed, false);
  assert.equal(listening.connections, 1);
});
