// Requests with a body that go again, and those that do not.
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import type { ChannelOptions } from "../../../service/channel.ts";
import { until } from "../../../testing/discovery-recorder.ts";
import { nothingEscapes } from "../test-fixtures/bed.ts";
import { proxied, rather, rawUpstream, upstream } from "./test-fixtures/proxied.ts";

nothingEscapes();

/** Asks this instance first, and another at once. */
function first(address: string): Partial<ChannelOptions> {
  return { balance: rather(address), slowStart: false, ejection: false, throttle: false, retry: { baseMs: 0 } };
}

/** What a server of HTTP/2 has seen. */
interface Seen {
  readonly address: string;
  readonly server: Http2Server;
  /** Verbs, and what came of the bodies. */
  readonly requests: { readonly verb: string; body: string }[];
}

/** A server of HTTP/2 whose streams the test handles; `answer` is told what has come of a body with each chunk, and undefined at its end. */
async function http2Upstream(
  t: TestContext,
  answer: (stream: ServerHttp2Stream, heard: string | undefined) => void,
): Promise<Seen> {
  const server = createServer({ settings: { initialWindowSize: 1024 * 1024 } });
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => sessions.add(session));
  const seen: Seen = { address: "", server, requests: [] };
  server.on("stream", (stream, headers) => {
    const request = { verb: headers[":method"]!, body: "" };
    seen.requests.push(request);
    stream.on("error", () => {});
    stream.setEncoding("latin1");
    stream.on("data", (chunk: string) => {
      request.body += chunk;
      answer(stream, request.body);
    });
    stream.on("end", () => answer(stream, undefined));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    for (const session of sessions) session.destroy();
  });
  return Object.assign(seen, { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

function served(stream: ServerHttp2Stream, heard: string | undefined): void {
  if (heard !== undefined || stream.destroyed) return;
  stream.respond({ ":status": 200 });
  stream.end("served");
}

/** Answers the first request of a connection. At the second it says GOAWAY below it, and is gone. */
function goesAway(server: () => Http2Server): (stream: ServerHttp2Stream, heard: string | undefined) => void {
  return (stream, heard) => {
    const { session } = stream;
    if (stream.id === 1) return served(stream, heard);
    if (session === undefined || session.destroyed) return;
    server().close();
    session.goaway(constants.NGHTTP2_NO_ERROR, 1);
    setImmediate(() => session.destroy());
  };
}

const VERBS = ["POST", "PATCH", "PUT", "DELETE"];

for (const front of ["HTTP/1.1", "HTTP/2"]) {
  test(`what an instance refuses that goes away is sent to another, body and all, whatever its verb: ${front}`, async (t) => {
    for (const verb of VERBS) {
      const leaving: Seen = await http2Upstream(
        t,
        goesAway(() => leaving.server),
      );
      const staying = await http2Upstream(t, served);
      const { address } = await proxied(t, {
        to: [leaving.address, staying.address],
        client: { http2: true },
        channel: first(leaving.address),
      });
      assert.equal((await fetch(address)).status, 200);
      const { status, body } = await send(t, front, address, verb, "x".repeat(5000));
      assert.deepEqual([verb, status, body], [verb, 200, "served"]);
      assert.equal(leaving.requests.length, 2);
      assert.deepEqual(staying.requests, [{ verb, body: "x".repeat(5000) }]);
    }
  });
}

async function send(
  t: TestContext,
  front: string,
  address: string,
  method: string,
  body: string,
): Promise<{ status: number; body: string }> {
  if (front === "HTTP/1.1") {
    const answer = await fetch(address, { method, body });
    return { status: answer.status, body: await answer.text() };
  }
  const stream = session(t, address).request({ ":method": method, ":path": "/" }, { endStream: false });
  stream.end(body);
  const [headers] = (await once(stream, "response")) as [{ ":status": number }];
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  return { status: headers[":status"], body: text };
}

function session(t: TestContext, address: string): ClientHttp2Session {
  const opened = connect(address);
  t.after(() => opened.close());
  return opened;
}

test("a stream that is refused goes again to the same instance, and what had not come yet of the body follows", async (t) => {
  let refused = false;
  const seen = await http2Upstream(t, (stream, heard) => {
    if (refused) return served(stream, heard);
    refused = true;
    stream.close(constants.NGHTTP2_REFUSED_STREAM);
  });
  const { address } = await proxied(t, { to: [seen.address], client: { http2: true }, channel: { retry: false } });
  const stream = session(t, address).request({ ":method": "POST", ":path": "/" });
  stream.write("one,");
  await until(
    "what there is was sent again",
    () => seen.requests.at(-1)?.body === "one," && seen.requests.length === 2,
  );
  stream.end("two");
  const [headers] = (await once(stream, "response")) as [{ ":status": number }];
  assert.equal(headers[":status"], 200);
  stream.resume();
  await once(stream, "close");
  assert.deepEqual(seen.requests, [
    { verb: "POST", body: "one," },
    { verb: "POST", body: "one,two" },
  ]);
});

test("what is refused does not go again when more was read of its body than is kept", async (t) => {
  const seen = await http2Upstream(t, (stream, heard) => {
    if (heard !== undefined && heard.length > 64 * 1024) stream.close(constants.NGHTTP2_REFUSED_STREAM);
  });
  const { address } = await proxied(t, { to: [seen.address], client: { http2: true } });
  const answer = await fetch(address, { method: "PUT", body: "x".repeat(300_000) });
  assert.equal(answer.status, 502);
  assert.equal(seen.requests.length, 1);
});

for (const [how, bad] of Object.entries({
  "breaks off": (t: TestContext, seen: string[]) =>
    rawUpstream(t, (socket, received) => {
      seen.push(received.split(" ", 1)[0]!);
      socket.destroy();
    }),
  "answers 503": (t: TestContext, seen: string[]) =>
    upstream(t, (req, res) => {
      seen.push(req.method!);
      req.resume();
      req.on("end", () => {
        res.statusCode = 503;
        res.end();
      });
    }),
})) {
  test(`of what an upstream may have done that ${how}, nothing goes again once some of its body was sent, whatever its verb`, async (t) => {
    const seen: string[] = [];
    const one = await bad(t, seen);
    const bodies: string[] = [];
    const two = await upstream(t, async (req, res) => {
      let body = "";
      for await (const chunk of req) body += String(chunk);
      bodies.push(body);
      res.end("served");
    });
    const { address } = await proxied(t, { to: [one.address, two.address], channel: first(one.address) });
    const failure = how === "breaks off" ? 502 : 503;
    const statuses: number[] = [];
    for (const method of VERBS) statuses.push((await fetch(address, { method, body: `the body of ${method}` })).status);
    assert.deepEqual(statuses, [failure, failure, failure, failure]);
    assert.deepEqual(seen, VERBS);
    assert.equal((await fetch(address, { method: "PUT", body: "x".repeat(3_000_000) })).status, failure);
    assert.deepEqual(bodies, []);
    assert.equal((await fetch(address, { method: "PUT" })).status, 200);
  });
}
