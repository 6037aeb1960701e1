import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Stream, connect, createServer, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer as createTcpServer, connect as tcpConnect } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { until } from "../testing/discovery-recorder.ts";
import { breakOff, letGo } from "./reset-stream.ts";

const PREFACE_BYTES = 24;
const HEAD_BYTES = 9;

/** What is said of the first stream in one direction: `data`, `end` (of the data), `reset CODE`. */
class Words {
  readonly said: string[] = [];
  #held = Buffer.alloc(0);
  #skip: number;

  constructor(skip: number) {
    this.#skip = skip;
  }

  read(chunk: Buffer): void {
    this.#held = Buffer.concat([this.#held, chunk]);
    if (this.#held.length < this.#skip) return;
    this.#held = this.#held.subarray(this.#skip);
    this.#skip = 0;
    while (this.#held.length >= HEAD_BYTES) {
      const size = HEAD_BYTES + this.#held.readUIntBE(0, 3);
      if (this.#held.length < size) return;
      const frame = this.#held.subarray(0, size);
      this.#held = this.#held.subarray(size);
      if (frame.readUInt32BE(5) !== 1) continue;
      if (frame[3] === 0 && size > HEAD_BYTES) this.said.push("data");
      if (frame[3]! <= 1 && (frame[4]! & 1) !== 0) this.said.push("end");
      if (frame[3] === 3) this.said.push(`reset ${frame.readUInt32BE(HEAD_BYTES)}`);
    }
  }
}

/** A stream with something on its way in both directions, and what is said of it on the wire. */
async function open(t: TestContext): Promise<{
  readonly client: ClientHttp2Stream;
  readonly server: ServerHttp2Stream;
  readonly fromClient: string[];
  readonly fromServer: string[];
}> {
  const origin = createServer();
  origin.listen(0, "127.0.0.1");
  await once(origin, "listening");
  const [fromClient, fromServer] = [new Words(PREFACE_BYTES), new Words(0)];
  const relay = createTcpServer((near) => {
    const far = tcpConnect((origin.address() as AddressInfo).port, "127.0.0.1");
    near.on("data", (chunk) => fromClient.read(chunk));
    far.on("data", (chunk) => fromServer.read(chunk));
    for (const socket of [near, far]) socket.on("error", () => {});
    near.pipe(far).pipe(near);
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  const session = connect(`http://127.0.0.1:${(relay.address() as AddressInfo).port}`);
  t.after(() => {
    session.destroy();
    origin.close();
    relay.close();
  });
  const client = session.request({ ":method": "POST" });
  client.write("half a request");
  const [server] = (await once(origin, "stream")) as [ServerHttp2Stream];
  for (const stream of [client, server]) stream.on("error", () => {});
  server.respond();
  server.write("half an answer");
  await until("both have written", () => fromClient.said.includes("data") && fromServer.said.includes("data"));
  return { client, server, fromClient: fromClient.said, fromServer: fromServer.said };
}

describe("a stream of HTTP/2 that is broken off", () => {
  test("by the client is cancelled, and never said to be all", async (t) => {
    const { client, fromClient } = await open(t);
    breakOff(client, "cancel");
    await until("the server hears of it", () => fromClient.length > 1);
    assert.deepEqual(fromClient, ["data", "reset 8"]);
    assert.equal(client.destroyed, true);
  });

  test("by the server is an error, and never said to be all", async (t) => {
    const { server, fromServer } = await open(t);
    breakOff(server, "internal");
    await until("the client hears of it", () => fromServer.length > 1);
    assert.deepEqual(fromServer, ["data", "reset 2"]);
    assert.equal(server.destroyed, true);
  });

  test("before there is a connection is gone", async (t) => {
    const session = connect("http://127.0.0.1:9");
    t.after(() => session.destroy());
    session.on("error", () => {});
    const stream = session.request({ ":method": "POST" });
    stream.on("error", () => {});
    breakOff(stream, "cancel");
    await until("it is gone", () => stream.closed && stream.destroyed);
  });
});

test("what is let go of was all, and the rest of the request is not wanted", async (t) => {
  const { server, fromServer } = await open(t);
  server.end();
  await until("the answer is out", () => fromServer.includes("end"));
  letGo(server);
  await until("the stream is gone", () => server.destroyed);
  assert.deepEqual(fromServer, ["data", "end", "reset 0"]);
});
