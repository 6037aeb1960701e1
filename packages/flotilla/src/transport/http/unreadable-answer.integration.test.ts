import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { encodeTextEnvelope } from "../../codec/envelope.ts";
import { background } from "../../context/with.ts";
import type { Connector } from "../../endpoint/transport.ts";
import { stub } from "../../service/stub.ts";
import { failureOf, readAll } from "../../testing/transport-bed.ts";
import { httpClient } from "./client.ts";
import { jsonRpcClient } from "./json-rpc/client.ts";
import { Freight } from "./test-fixtures/freight.ts";

/** Calls a server that answers everything with this. */
async function calling(
  t: TestContext,
  connector: Connector,
  type: string,
  body: string | Buffer,
  more: Readonly<Record<string, string>> = {},
) {
  const server = createServer((req, res) => {
    req.resume();
    res.writeHead(200, { ...more, "content-type": type }).end(body);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const connection = connector.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.after(async () => {
    await connection.close();
    server.close();
  });
  return stub(Freight, (method) => connection.endpoint(method));
}

test("an answer that cannot be read is the server's fault, not the caller's", async (t) => {
  const unary = await calling(t, httpClient(), "application/json", "<html>");
  const told = await failureOf(unary.echo(background(), { text: "x" }));
  assert.equal(told.code, "internal");
  assert.match(told.message, /^the answer of test\.v1\.Freight\/echo cannot be read: /);

  const streaming = await calling(t, httpClient(), "application/connect+json", encodeTextEnvelope(0, "<html>"));
  assert.equal((await failureOf(readAll(streaming.count(background(), { to: 1 })))).code, "internal");

  const short = await calling(t, httpClient(), "application/connect+json", Buffer.from("\0\0\0\0\u0009{", "latin1"));
  const cut = await failureOf(readAll(short.count(background(), { to: 1 })));
  assert.deepEqual([cut.code, cut.message], ["internal", "the stream ended inside a message, after 6 bytes of it"]);

  const rpc = await calling(
    t,
    jsonRpcClient(),
    "application/json",
    '{"jsonrpc":"2.0","id":1,"result":{"__proto__":1}}',
  );
  assert.equal((await failureOf(rpc.echo(background(), { text: "x" }))).code, "internal");
});

test("so is what is not compressed as it says", async (t) => {
  for (const coding of ["gzip", "zstd"]) {
    const unary = await calling(t, httpClient(), "application/json", "{}", { "content-encoding": coding });
    assert.equal((await failureOf(unary.echo(background(), { text: "x" }))).code, "internal", coding);
    const packed = encodeTextEnvelope(1, "{}");
    const more = { "connect-content-encoding": coding };
    const streaming = await calling(t, httpClient(), "application/connect+json", packed, more);
    assert.equal((await failureOf(readAll(streaming.count(background(), { to: 1 })))).code, "internal", coding);
  }
});
