// Instances that go while they are called, with no registry that could tell: no call is lost, though none may be sent twice.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { sleep } from "../context/sleep.ts";
import { background } from "../context/with.ts";
import type { Connector } from "../endpoint/transport.ts";
import { grpc } from "../transport/grpc/server.ts";
import { httpClient } from "../transport/http/client.ts";
import { grpcWebClient } from "../transport/http/grpc-web/client.ts";
import { jsonRpcClient } from "../transport/http/json-rpc/client.ts";
import { jsonRpc } from "../transport/http/json-rpc/server.ts";
import { proxy } from "../transport/http/proxy/proxy.ts";
import { proxyClient } from "../transport/http/proxy/proxy-client.ts";
import { http } from "../transport/http/server.ts";
import { nothingEscapes } from "../transport/http/test-fixtures/bed.ts";
import { Freight, freight } from "../transport/http/test-fixtures/freight.ts";
import { channel, client } from "./channel.ts";
import { host } from "./host.ts";
import type { RunningHost } from "./host-options.ts";
import { implement } from "./implement.ts";

nothingEscapes();

async function start(t: TestContext): Promise<RunningHost> {
  const running = await host({
    name: "freight",
    serve: [implement(Freight, { ...freight(), echo: async (ctx, request) => (await sleep(ctx, 2), request) })],
    listen: [http({ protocols: [grpc(), jsonRpc()] })],
    admin: false,
    onEvent() {},
  }).start();
  t.after(() => running.stop());
  return running;
}

/** Has 32 callers call without pause before, during and after something is done. @throws what a call fails with. */
async function underLoad(call: () => Promise<unknown>, act: () => Promise<void>): Promise<void> {
  let made = 0;
  let going = true;
  const caller = async (): Promise<void> => {
    while (going) {
      await call();
      made++;
    }
  };
  const callers = Promise.all(Array.from({ length: 32 }, caller)).finally(() => {
    going = false;
  });
  const more = async (count: number): Promise<void> => {
    for (const enough = made + count; going && made < enough; ) await sleep(background(), 1);
  };
  await more(300);
  await act();
  await more(300);
  going = false;
  await callers;
}

const connectors: Readonly<Record<string, () => Connector>> = {
  "HTTP/1.1": () => httpClient(),
  "HTTP/2": () => httpClient({ http2: true }),
  "gRPC-Web": () => grpcWebClient(),
  "JSON-RPC": () => jsonRpcClient(),
};

for (const [name, connector] of Object.entries(connectors)) {
  // What is called is neither safe nor idempotent: what may have been made is not sent again.
  test(`one of two instances goes, again and again: ${name}`, async (t) => {
    const stays = await start(t);
    for (let round = 0; round < 2; round++) {
      const goes = await start(t);
      const calls = client(Freight, { discover: [stays.addresses[0]!, goes.addresses[0]!], transport: connector() });
      await underLoad(
        () => calls.echo(background(), { text: "x" }),
        () => goes.stop(),
      );
      await calls[Symbol.asyncDispose]();
    }
  });
}

/** What comes until the end of the head. */
async function head(socket: Socket): Promise<string> {
  let text = "";
  while (!text.includes("\r\n\r\n")) text += ((await once(socket, "data")) as [Buffer])[0].toString("latin1");
  return text;
}

test("a connection of HTTP/1.1 that is idle is left open for a moment, and what comes on it is served", async (t) => {
  const running = await start(t);
  const { hostname, port } = new URL(running.addresses[0]!);
  const [used, idle] = [connect(Number(port), hostname), connect(Number(port), hostname)];
  t.after(() => [used, idle].map((socket) => socket.destroy()));
  const ask = (socket: Socket): Promise<string> => {
    socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    return head(socket);
  };
  for (const socket of [used, idle]) assert.match(await ask(socket), /^HTTP\/1\.1 200 [^]*\r\nconnection: keep-alive/i);
  const ended = Promise.all([used, idle].map((socket) => once(socket, "end")));
  const stopped = running.stop();
  await sleep(background(), 20);
  assert.match(await ask(used), /^HTTP\/1\.1 200 [^]*\r\nconnection: close, drain\r\n/i);
  await ended;
  await stopped;
});

test("one of two upstreams of a proxy goes, again and again", async (t) => {
  const stays = await start(t);
  for (let round = 0; round < 2; round++) {
    const goes = await start(t);
    const over = channel({ discover: [stays.addresses[0]!, goes.addresses[0]!], transport: proxyClient() });
    const edge = await host({
      name: "edge",
      listen: [http({ protocols: [proxy({ over, service: "freight" })] })],
      admin: false,
      onEvent() {},
      close: [over],
    }).start();
    const calls = client(Freight, { discover: [edge.addresses[0]!], transport: httpClient() });
    await underLoad(
      () => calls.echo(background(), { text: "x" }),
      () => goes.stop(),
    );
    await calls[Symbol.asyncDispose]();
    await edge.stop();
  }
});
