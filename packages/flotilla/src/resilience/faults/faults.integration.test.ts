// Faults in a server that runs, over each transport: what its callers see, and what becomes of their connections.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { z } from "zod";
import { background } from "../../context/with.ts";
import { contract } from "../../contract/contract.ts";
import { serverStream, unary } from "../../contract/method.ts";
import type { FinishedCall } from "../../endpoint/finished-call.ts";
import { ServiceError } from "../../errors/service-error.ts";
import { client } from "../../service/channel.ts";
import { host } from "../../service/host.ts";
import { implement } from "../../service/implement.ts";
import { simulate } from "../../sim/world.ts";
import { failureOf } from "../../testing/transport-bed.ts";
import { httpClient } from "../../transport/http/client.ts";
import { http } from "../../transport/http/server.ts";
import { memory } from "../../transport/memory/memory.ts";
import { faults } from "./faults.ts";

const message = z.object({ n: z.number() });
const Shop = contract("test.v1.Shop", {
  order: unary({ input: message, output: message }),
  watch: serverStream({ input: message, output: message }),
});

function shop(orders: number[]) {
  return {
    order: (_ctx: unknown, { n }: { n: number }) => {
      orders.push(n);
      return { n };
    },
    async *watch(_ctx: unknown, { n }: { n: number }) {
      for (let i = 1; i <= n; i++) yield { n: i };
    },
  };
}

const ctx = background();

/** A shop that is served, with a client that does not try again. */
async function open(t: TestContext, transport: "memory" | "http/1.1" | "http/2") {
  const chaos = faults({ serving: true });
  const orders: number[] = [];
  const finished: FinishedCall[] = [];
  const net = memory();
  const hooks = { finalize: (_: unknown, call: FinishedCall) => void finished.push(call) };
  const running = await host({
    name: "shop",
    serve: [implement(Shop, shop(orders), { use: [chaos] })],
    listen: [transport === "memory" ? net.listener("shop") : http({ hooks })],
    admin: false,
    onEvent() {},
  }).start();
  const connector = transport === "memory" ? net : httpClient({ http2: transport === "http/2" });
  const shopping = client(Shop, { discover: running.addresses, transport: connector, retry: false });
  t.after(async () => {
    await shopping[Symbol.asyncDispose]();
    await running.stop();
  });
  return { chaos, orders, finished, shopping, address: running.addresses[0]! };
}

for (const transport of ["memory", "http/1.1", "http/2"] as const) {
  describe(`over ${transport}`, () => {
    test("an aborted call is a broken connection, and the next call is served", async (t) => {
      const { chaos, orders, finished, shopping } = await open(t, transport);
      assert.equal((await shopping.order(ctx, { n: 1 })).n, 1);
      chaos.inject({ abort: true, at: "response" });
      const error = await failureOf(shopping.order(ctx, { n: 2 }));
      assert.equal(error.code, "unavailable");
      assert.match(error.message, /lost the connection/);
      assert.deepEqual(error.details, [], "nothing was answered");
      assert.deepEqual(orders, [1, 2]);
      chaos.heal();
      assert.equal((await shopping.order(ctx, { n: 3 })).n, 3);
      if (transport !== "memory") {
        const codes = finished.map(({ code }) => code);
        assert.deepEqual(codes, ["ok", "unavailable", "ok"], "each call has ended once");
      }
    });

    test("a stream that is aborted breaks off after what was sent", async (t) => {
      const { chaos, shopping } = await open(t, transport);
      // In memory what was not read yet goes with the connection: read on in step.
      chaos.inject({ abort: true, at: "response", afterMessages: 2, latencyMs: 20 });
      const seen: number[] = [];
      const error = await failureOf(
        (async () => {
          for await (const { n } of shopping.watch(ctx, { n: 5 })) seen.push(n);
        })(),
      );
      assert.equal(error.code, "unavailable");
      assert.match(error.message, /lost the connection/);
      assert.deepEqual(seen, [1, 2]);
    });
  });
}

test("what the caller of plain HTTP sees of an aborted call: a connection closed without a byte", async (t) => {
  const { chaos, address } = await open(t, "http/1.1");
  chaos.inject({ abort: true });
  const socket = connect(Number(new URL(address).port), "127.0.0.1");
  const body = '{"n":1}';
  socket.write(
    `POST /test.v1.Shop/order HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  let received = "";
  for await (const chunk of socket.setEncoding("utf8")) received += chunk as string;
  assert.equal(received, "");
});

test("without `serving`, around a server, an aborted call is answered with the error", async (t) => {
  const chaos = faults();
  const running = await host({
    name: "shop",
    serve: [implement(Shop, shop([]), { use: [chaos] })],
    listen: [http()],
    admin: false,
    onEvent() {},
  }).start();
  t.after(() => running.stop());
  chaos.inject({ abort: true });
  const response = await fetch(`${running.addresses[0]}/test.v1.Shop/order`, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close" },
    body: '{"n":1}',
  });
  assert.equal(response.status, 503);
  assert.match(await response.text(), /"code":"unavailable","message":"lost the connection/);
});

test("around calls: in `use` a fault is the outcome, in `perInstance` it is one attempt of one instance", async (t) => {
  const net = memory();
  const served: string[] = [];
  const serving = async (name: string): Promise<string> => {
    const running = await host({
      name,
      serve: [
        implement(Shop, shop([]), { use: [(next) => async (ctx, request) => (served.push(name), next(ctx, request))] }),
      ],
      listen: [net.listener(name)],
      admin: false,
      onEvent() {},
    }).start();
    t.after(() => running.stop());
    return running.addresses[0]!;
  };
  const discover = [await serving("good"), await serving("bad")];
  const outside = faults();
  const inside = faults();
  const shopping = client(Shop, {
    discover,
    transport: net,
    use: [outside],
    retry: { alsoRetry: () => true },
    ejection: false,
    perInstance: ({ address }) => (address.endsWith("bad") ? [inside] : []),
  });
  t.after(() => shopping[Symbol.asyncDispose]());
  const broken = inside.inject({ error: "unavailable" });
  for (let n = 0; n < 10; n++) assert.equal((await shopping.order(ctx, { n })).n, n);
  assert.ok(broken.hits > 0);
  assert.deepEqual(served, Array(10).fill("good"));
  outside.inject({ error: "unavailable" });
  assert.equal((await failureOf(shopping.order(ctx, { n: 1 }))).attempts, undefined, "nothing was tried again");
});

test("in a simulation an abort reaches the caller over the simulated network", async () => {
  await simulate({ seed: 1, network: { latency: 10 } }, async (world) => {
    const chaos = faults({ serving: true });
    await world.machine("shop", async (process) => {
      await process.host({ serve: [implement(Shop, shop([]), { use: [chaos] })] });
    });
    const caller = await world.caller("customer");
    const shopping = caller.client(Shop, { retry: false });
    const call = async (): Promise<string> => {
      const startedMs = caller.clock.now();
      const outcome = await shopping.order(caller.ctx, { n: 1 }).then(
        () => "ok",
        (error: unknown) => ServiceError.from(error).code,
      );
      return `${outcome} after ${Math.round(caller.clock.now() - startedMs)} ms`;
    };
    const outcomes: string[] = [];
    void call()
      .then(() => call())
      .then((outcome) => {
        outcomes.push(outcome);
        chaos.inject({ abort: true });
        return call();
      })
      .then((outcome) => outcomes.push(outcome));
    await world.run(1000);
    assert.deepEqual(outcomes, ["ok after 20 ms", "unavailable after 20 ms"]);
  });
});
