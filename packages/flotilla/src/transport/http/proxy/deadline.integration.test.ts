// A deadline that passes while an answer is on its way through the proxy: what counts is how the upstream ends it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, constants, createServer, type Http2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { VirtualClock } from "../../../clock/virtual-clock.ts";
import { background, withTimeout } from "../../../context/with.ts";
import type { Connector, Listening } from "../../../endpoint/transport.ts";
import { channel } from "../../../service/channel.ts";
import { implement } from "../../../service/implement.ts";
import { stub } from "../../../service/stub.ts";
import { until } from "../../../testing/discovery-recorder.ts";
import { failureOf } from "../../../testing/transport-bed.ts";
import { grpcClient } from "../../grpc/client.ts";
import { grpc } from "../../grpc/server.ts";
import { httpClient } from "../client.ts";
import { grpcWebClient } from "../grpc-web/client.ts";
import { http } from "../server.ts";
import { nothingEscapes, serve } from "../test-fixtures/bed.ts";
import { done, Freight, freight } from "../test-fixtures/freight.ts";
import { RawConnection } from "../test-fixtures/raw.ts";
import { proxy } from "./proxy.ts";
import { proxyClient } from "./proxy-client.ts";
import { upstream } from "./test-fixtures/proxied.ts";

nothingEscapes();

/** An upstream whose answers begin, and go on when the test says so. */
interface Slow {
  readonly address: string;
  answers: { write(text: string): void; end(text: string): void }[];
  /** What has been received of request bodies. */
  received: string;
  /** Answers that were given up by who asked. */
  abandoned: number;
}

async function slow(t: TestContext, http2: boolean): Promise<Slow> {
  const slowly: Slow = { address: "", answers: [], received: "", abandoned: 0 };
  const answer: Parameters<typeof upstream>[1] = (req, res) => {
    req.on("data", (chunk: Buffer) => {
      slowly.received += chunk.toString();
    });
    res.on("close", () => {
      if (!res.writableEnded) slowly.abandoned++;
    });
    res.write("begun,");
    slowly.answers.push({ write: (text) => void res.write(text), end: (text) => void res.end(text) });
  };
  if (!http2) return Object.assign(slowly, { address: (await upstream(t, answer)).address });
  const server: Http2Server = createServer(answer as never);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return Object.assign(slowly, { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

/** A proxy whose time stands still until told otherwise. */
async function front(t: TestContext, to: string, http2: boolean): Promise<[VirtualClock, Listening]> {
  const clock = new VirtualClock();
  const over = channel({ discover: [to], transport: proxyClient({ http2 }), clock });
  const listening = await http({ protocols: [proxy({ over })] }).listen([], background(clock));
  t.after(async () => {
    await listening.close();
    await over.close();
  });
  return [clock, listening];
}

for (const http2 of [false, true]) {
  const version = `HTTP/${http2 ? "2" : "1.1"}`;

  test(`an answer that has begun may end behind the deadline, as the upstream ends it: ${version}`, async (t) => {
    const slowly = await slow(t, http2);
    const [clock, { address }] = await front(t, slowly.address, http2);
    const answer = await fetch(address, { headers: { "connect-timeout-ms": "100" } });
    await clock.advance(600);
    slowly.answers[0]!.end("too late");
    assert.equal(await answer.text(), "begun,too late");
  });

  test(`and the request may go on meanwhile: ${version}`, async (t) => {
    const slowly = await slow(t, http2);
    const [clock, { address }] = await front(t, slowly.address, http2);
    const session = connect(address);
    t.after(() => session.close());
    const stream = session.request({ ":method": "POST", ":path": "/", "connect-timeout-ms": "100" });
    stream.write("one,");
    stream.setEncoding("utf8");
    await once(stream, "readable");
    await clock.advance(600);
    stream.end("two");
    await until("all of the request is there", () => slowly.received === "one,two");
    slowly.answers[0]!.end("too late");
    let received = "";
    for await (const part of stream) received += part as string;
    assert.equal(received, "begun,too late");
  });

  test(`but not for long, and a stream of HTTP/2 is cancelled then: ${version}`, async (t) => {
    const slowly = await slow(t, http2);
    const [clock, { address }] = await front(t, slowly.address, http2);
    const session = connect(address);
    t.after(() => session.close());
    const stream = session.request({ ":path": "/", "connect-timeout-ms": "100" });
    const client = await RawConnection.open(Number(new URL(address).port));
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnect-Timeout-Ms: 100\r\n\r\n");
    await once(stream, "response");
    await until("both have begun", () => client.pending.includes("begun,") && slowly.answers.length === 2);
    stream.on("error", () => {});
    await clock.advance(1050);
    assert.equal(slowly.abandoned, 0);
    await clock.advance(100);
    stream.resume();
    await once(stream, "close");
    assert.equal(stream.rstCode, constants.NGHTTP2_CANCEL);
    await client.gone;
    assert.doesNotMatch(client.pending, /0\r\n\r\n$/);
    await until("the upstream hears of it", () => slowly.abandoned === 2);
  });

  test(`a client that goes behind its deadline cancels the upstream: ${version}`, async (t) => {
    const slowly = await slow(t, http2);
    const [clock, listening] = await front(t, slowly.address, http2);
    const answer = await fetch(listening.address, { headers: { "connect-timeout-ms": "100" } });
    await clock.advance(600);
    await answer.body!.cancel();
    await until("the upstream hears of it", () => slowly.abandoned === 1);
    await until("nothing is left", () => listening.inFlight === 0);
  });
}

const clients: Record<string, { connector: Connector; http2: boolean }> = {
  "httpClient over HTTP/1.1": { connector: httpClient(), http2: false },
  "httpClient over HTTP/2": { connector: httpClient({ http2: true }), http2: true },
  grpcWebClient: { connector: grpcWebClient(), http2: false },
  grpcClient: { connector: grpcClient(), http2: true },
};

for (const [name, { connector, http2 }] of Object.entries(clients)) {
  test(`streams that meet their deadline behind the proxy end as without it: ${name}`, async (t) => {
    const service = implement(Freight, {
      ...freight(),
      async *count(ctx) {
        yield { n: 1 };
        await done(ctx);
        throw ctx.err!;
      },
    });
    const behind = await serve(t, { protocols: [grpc()] }, service);
    const [clock, { address }] = await front(t, behind.address, http2);
    const connection = connector.connect(address.replace("http", connector.protocol));
    t.after(() => connection.close());
    const { count } = stub(Freight, (method) => connection.endpoint(method));
    const read = async (): Promise<void> => {
      for await (const { n } of count(withTimeout(background(), 200), { to: 1 })) {
        assert.equal(n, 1);
        // As a rule the proxy is ahead of its client: the fraction of a millisecond is lost on the way.
        await clock.advance(300);
      }
    };
    assert.equal((await failureOf(read())).code, "deadline_exceeded");
  });
}
