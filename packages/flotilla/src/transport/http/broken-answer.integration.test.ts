// Half an answer over HTTP/2 is none, whatever way it was broken off: Node ends what it has received in the same way as what is all.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { addAbortSignal } from "node:stream";
import { describe, type TestContext, test } from "node:test";
import { background, withTimeout } from "../../context/with.ts";
import { failureOf } from "../../testing/transport-bed.ts";
import { proxied } from "./proxy/test-fixtures/proxied.ts";
import { callFreight } from "./test-fixtures/bed.ts";

/** What looks like an answer, but is to go on. */
const HALF = JSON.stringify({ text: "half" });

const ends: Record<string, (stream: ServerHttp2Stream) => void> = {
  "an error": (stream) => void stream.destroy(new Error("broken")),
  "no error": (stream) => void stream.destroy(),
  cancellation: (stream) => void addAbortSignal(AbortSignal.abort(), stream),
  "the end of the session": (stream) => stream.session!.destroy(),
};

async function breaking(t: TestContext, end: (stream: ServerHttp2Stream) => void): Promise<string> {
  const server = createServer();
  server.on("stream", (stream) => {
    stream.on("error", () => {});
    stream.respond({ ":status": 200, "content-type": "application/json" });
    stream.write(HALF, () => setImmediate(end, stream));
  });
  server.on("sessionError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

for (const [how, end] of Object.entries(ends)) {
  describe(`half an answer over HTTP/2, broken off with ${how}`, () => {
    test("fails the call", async (t) => {
      const freight = callFreight(t, await breaking(t, end), { http2: true });
      const { code } = await failureOf(freight.echo(withTimeout(background(), 5000), { text: "whole" }));
      assert.equal(code, how === "cancellation" ? "canceled" : "unavailable");
    });

    test("is no whole one to the client of a proxy", async (t) => {
      const { port } = await proxied(t, { to: [await breaking(t, end)], client: { http2: true } });
      const answer = await fetch(`http://127.0.0.1:${port}/`);
      assert.equal(answer.status, 200);
      await assert.rejects(answer.text());
    });
  });
}
