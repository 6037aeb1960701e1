import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { type TestContext, test } from "node:test";
import { background, withCancel } from "../../context/with.ts";
import type { Connector, Listener, Listening } from "../../endpoint/transport.ts";
import { implement } from "../../service/implement.ts";
import { stub } from "../../service/stub.ts";
import { grpcClient } from "../grpc/client.ts";
import { grpc } from "../grpc/server.ts";
import { httpClient } from "./client.ts";
import { http } from "./server.ts";
import { nothingEscapes } from "./test-fixtures/bed.ts";
import { Freight, freight } from "./test-fixtures/freight.ts";
import { RawConnection } from "./test-fixtures/raw.ts";

nothingEscapes();

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A frame of RFC 9113, section 4.1. */
function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const SETTINGS = frame(4, 0, 0);
const HEADERS = 1;
const CONTINUATION = 9;
const PING = 6;
const END_HEADERS = 4;

/** Both ports that speak HTTP/2 have to bear all of this. */
const ports: readonly {
  readonly name: string;
  readonly listener: (options?: { maxConcurrentStreams: number }) => Listener;
  readonly connector: Connector;
  readonly type: string;
}[] = [
  { name: "http", listener: http, connector: httpClient({ http2: true }), type: "application/json" },
  { name: "grpc", listener: grpc, connector: grpcClient(), type: "application/grpc+json" },
];

interface Served {
  readonly listening: Listening;
  readonly connector: Connector;
  readonly port: number;
}

async function serve(t: TestContext, listener: Listener, connector: Connector): Promise<Served> {
  const root = withCancel(background());
  const listening = await listener.listen([implement(Freight, freight())], root);
  t.after(async () => {
    await listening.close();
    root.cancel();
  });
  return { listening, connector, port: Number(new URL(listening.address).port) };
}

async function open(t: TestContext, { port }: Served): Promise<RawConnection> {
  const connection = await RawConnection.open(port);
  t.after(() => connection.destroy());
  connection.send(PREFACE);
  connection.send(SETTINGS);
  return connection;
}

/** Others are served while this goes on, and memory stays within bounds. */
async function survives(t: TestContext, served: Served, abuse: () => Promise<void>): Promise<void> {
  const connection = served.connector.connect(served.listening.address);
  t.after(() => connection.close());
  const others = stub(Freight, (method) => connection.endpoint(method));
  const before = process.memoryUsage().rss;
  let going = true;
  const calling = (async () => {
    let calls = 0;
    do {
      assert.deepEqual(await others.sum(background(), { a: calls, b: 1 }), { v: ++calls });
      await turn();
    } while (going);
    return calls;
  })();
  try {
    await abuse();
  } finally {
    going = false;
  }
  assert.ok((await calling) > 0);
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < 150_000_000, `${grown} bytes more`);
  while (served.listening.inFlight > 0) await turn();
}

/** Sends the same bytes again and again until the other side has had enough, or `times` are over. */
async function flood(connection: RawConnection, bytes: Uint8Array, times: number): Promise<number> {
  let sent = 0;
  while (sent < times && !connection.closed) {
    if (!connection.send(bytes) && !connection.closed) {
      await Promise.race([once(connection.socket, "drain").catch(() => {}), connection.gone]);
    }
    sent++;
    if (sent % 64 === 0) await turn();
  }
  return sent;
}

for (const { name, listener, connector, type } of ports) {
  test(`${name}: rapid reset: streams that are opened and cancelled at once, thousands of times`, async (t) => {
    const served = await serve(t, listener({ maxConcurrentStreams: 100 }), connector);
    await survives(t, served, async () => {
      const session = connect(`http://127.0.0.1:${served.port}`);
      session.on("error", () => {});
      for (let i = 0; i < 3000 && !session.destroyed && !session.closed; i++) {
        const stream = session.request({
          ":method": "POST",
          ":path": "/test.v1.Freight/hang",
          "content-type": type,
        });
        stream.on("error", () => {});
        stream.close(8);
        if (i % 50 === 0) await turn();
      }
      session.destroy();
    });
  });

  test(`${name}: a flood of settings, and one of pings`, async (t) => {
    const served = await serve(t, listener(), connector);
    for (const bytes of [SETTINGS, frame(PING, 0, 0, Buffer.alloc(8))]) {
      await survives(t, served, async () => {
        const connection = await open(t, served);
        // Nobody reads the acknowledgements.
        connection.socket.pause();
        await flood(connection, Buffer.concat(Array.from({ length: 100 }, () => bytes)), 1000);
        connection.destroy();
      });
    }
  });

  test(`${name}: headers that never end: CONTINUATION frames without END_HEADERS`, async (t) => {
    const served = await serve(t, listener(), connector);
    await survives(t, served, async () => {
      const connection = await open(t, served);
      connection.send(frame(HEADERS, 0, 1, Buffer.from([0x82, 0x87, 0x84])));
      const more = frame(CONTINUATION, 0, 1, Buffer.alloc(16_000, 0x82));
      const sent = await flood(connection, more, 2000);
      await connection.gone;
      assert.ok(sent < 2000, `cut after ${sent} frames`);
    });
  });

  test(`${name}: a small header block that unpacks to a large one is refused`, async (t) => {
    const served = await serve(t, listener(), connector);
    await survives(t, served, async () => {
      const connection = await open(t, served);
      // One literal with incremental indexing of 4000 bytes, then references to it: HPACK's bomb.
      const literal = Buffer.concat([Buffer.from([0x40, 1, 0x78, 0x7f, 0xa1, 0x1e]), Buffer.alloc(4000, 0x61)]);
      const block = Buffer.concat([Buffer.from([0x83, 0x86, 0x84]), literal, Buffer.alloc(8000, 0xbe)]);
      connection.send(frame(HEADERS, END_HEADERS, 1, block));
      connection.send(frame(0, 1, 1));
      // RST_STREAM of stream 1: ENHANCE_YOUR_CALM.
      const refused = frame(3, 0, 1, Buffer.from([0, 0, 0, 11])).toString("latin1");
      while (!connection.closed && !connection.pending.includes(refused)) await turn();
      assert.ok(connection.pending.includes(refused), "the stream is refused, not served");
      connection.destroy();
    });
  });

  test(`${name}: frames on stream zero, of unknown length, type and order end the connection, not the server`, async (t) => {
    const served = await serve(t, listener(), connector);
    const wrong = [
      frame(0, 0, 0, Buffer.from("data")),
      frame(HEADERS, END_HEADERS, 0, Buffer.from([0x82])),
      frame(HEADERS, END_HEADERS, 2, Buffer.from([0x82])),
      frame(CONTINUATION, END_HEADERS, 1, Buffer.from([0x82])),
      frame(8, 0, 0, Buffer.alloc(4)),
      frame(4, 0, 0, Buffer.alloc(5)),
      frame(0, 0, 1, Buffer.alloc(20_000)),
      Buffer.from("not a frame at all, but long enough to be taken for one"),
    ];
    await survives(t, served, async () => {
      for (const bytes of wrong) {
        const connection = await open(t, served);
        connection.send(bytes);
        await connection.gone;
      }
    });
  });
}
