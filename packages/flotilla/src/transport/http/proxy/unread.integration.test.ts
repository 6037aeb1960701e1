import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect as connectHttp2, type Http2ServerResponse } from "node:http2";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import type { Middleware } from "../../../endpoint/endpoint.ts";
import { until } from "../../../testing/discovery-recorder.ts";
import { nothingEscapes } from "../test-fixtures/bed.ts";
import { proxied, upstream } from "./test-fixtures/proxied.ts";

nothingEscapes();

/** A proxy before an upstream whose answer ends when the proxy has to keep some of it, because the client reads none; and how much it has to keep. */
async function unread(t: TestContext) {
  let waiting = (): number => 0;
  const watching: Middleware = (next) =>
    function watched(ctx, request) {
      const { req, res } = request as unknown as { readonly req: IncomingMessage; readonly res: ServerResponse };
      const to = req.httpVersionMajor > 1 ? (res as unknown as Http2ServerResponse).stream : req.socket;
      waiting = () => to.writableLength;
      return next(ctx, request);
    };
  const { address } = await upstream(t, (_req, res) => {
    const send = (): void => {
      if (waiting() > 0) res.end();
      else res.write(Buffer.alloc(16_000), () => setTimeout(send, 1));
    };
    send();
  });
  const served = await proxied(t, { to: [address], proxy: { idleTimeoutMs: 200, use: [watching] } });
  return { ...served, waiting: () => waiting() };
}

test("a client that does not read the end of an answer is cut when nothing moves any more", async (t) => {
  const { port, listening, waiting } = await unread(t);
  const client = connect({ port, host: "127.0.0.1" });
  client.on("error", () => {});
  client.pause();
  client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await until("the answer has ended", () => listening.inFlight === 0 && waiting() > 0);
  await until("the connection is closed", () => listening.connections === 0, 3000);
  client.destroy();
});

test("a stream of HTTP/2 whose client does not read the end of an answer is reset", async (t) => {
  const { address, listening, waiting } = await unread(t);
  const session = connectHttp2(address);
  t.after(() => session.destroy());
  const stream = session.request({ ":path": "/" });
  stream.on("error", () => {});
  stream.pause();
  await until("the answer has ended", () => listening.inFlight === 0 && waiting() > 0);
  await until("the stream is reset", () => stream.closed, 3000);
  assert.ok(!session.closed && !session.destroyed, "others go on");
});
