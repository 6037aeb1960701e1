// Connections whose other side is gone without a word: nothing waits for it for longer than it must.
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { skipWithout } from "../../../../../scripts/servers.ts";
import { systemClock } from "../../clock/system-clock.ts";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { sleep } from "../../context/sleep.ts";
import { background, withCancel, withTimeout } from "../../context/with.ts";
import { stub } from "../../service/stub.ts";
import { until } from "../../testing/discovery-recorder.ts";
import { type FaultProxy, faultProxy } from "../../testing/fault-proxy.ts";
import { failureOf } from "../../testing/transport-bed.ts";
import { httpClient } from "./client.ts";
import type { HttpClientOptions } from "./client-options.ts";
import type { HttpServerOptions } from "./options.ts";
import { nothingEscapes, serveFreight } from "./test-fixtures/bed.ts";
import { type Certificate, certificate } from "./test-fixtures/certificate.ts";
import { done, Freight } from "./test-fixtures/freight.ts";

nothingEscapes();

const skip = await skipWithout("openssl");
const { key, cert }: Certificate = skip === false ? await certificate() : { key: "", cert: "" };
const ctx = background();
/** What must not take until a timeout of 20 s, or for ever, takes at most so long on any machine. */
const SOON_MS = 5000;

/** A server, and a client of it through a proxy. */
async function open(
  t: TestContext,
  server: HttpServerOptions = {},
  client: HttpClientOptions = {},
  clock = systemClock,
) {
  const running = new Set<string>();
  const served = await serveFreight(t, server, {
    async hang(ctx) {
      running.add("hang");
      await done(ctx);
      running.delete("hang");
      throw ctx.err!;
    },
    async *chat(_ctx, requests) {
      running.add("chat");
      try {
        for await (const { text } of requests) yield { text: text.toUpperCase() };
      } finally {
        running.delete("chat");
      }
    },
  });
  const proxy = await faultProxy({ to: served.address });
  t.after(() => proxy.close());
  const connection = httpClient(client, clock).connect(proxy.address);
  t.after(() => connection.close());
  const freight = stub(Freight, (method) => connection.endpoint(method));
  assert.deepEqual(await freight.sum(ctx, { a: 1, b: 2 }), { v: 3 });
  return { ...served, proxy, connection, freight, running };
}

async function soon(what: string, work: Promise<unknown>): Promise<void> {
  let over = false;
  work.then(
    () => (over = true),
    () => (over = true),
  );
  await until(what, () => over, SOON_MS);
  await work;
}

/** Both directions are silent for the connections there are. */
const vanish = (proxy: FaultProxy): unknown => proxy.inject({ blackhole: true, connections: "open" });

for (const [name, http2, tls] of [
  ["HTTP/1.1", false, false],
  ["HTTP/2", true, false],
  ["HTTP/2 with TLS", true, true],
] as const) {
  const server: HttpServerOptions = tls ? { tls: { key, cert } } : {};
  const client: HttpClientOptions = { http2, ...(tls && { tls: { ca: cert } }) };

  describe(name, { skip: tls && skip }, () => {
    test("a client that is gone does not hold up the drain of its server", async (t) => {
      const { proxy, listening } = await open(t, server, client);
      vanish(proxy);
      await soon("drained", listening.drain());
      await until("nothing is left", () => listening.connections === 0);
    });

    test("nor does its call the close", async (t) => {
      const { proxy, listening, freight, running } = await open(t, server, client);
      const call = failureOf(freight.hang(ctx, {}));
      await until("the call has begun", () => running.has("hang"));
      vanish(proxy);
      await soon("closed", listening.close());
      await until("nothing is left", () => listening.connections === 0 && running.size === 0);
      await proxy.heal();
      await call;
    });

    test("a server that is gone does not hold up the drain of its client", async (t) => {
      const { proxy, connection } = await open(t, server, client);
      vanish(proxy);
      await soon("drained", connection.drain());
    });
  });
}

describe("an HTTP/2 connection to a server that is gone", () => {
  test("is given up when it gives no sign of life; the next call is served over another", async (t) => {
    const clock = new VirtualClock();
    const { proxy, freight, connection } = await open(t, {}, { http2: true, keepAliveMs: 10_000 }, clock);
    vanish(proxy);
    const call = failureOf(freight.hang(ctx, {}));
    await until("the call is on its way", () => proxy.counts.held > 0);
    await clock.advance(10_000);
    await clock.advance(9_999);
    assert.deepEqual(connection.poolState!(), { open: 1, idle: 0, waiting: 0 });
    await clock.advance(1);
    const error = await call;
    assert.equal(error.code, "unavailable");
    assert.match(error.message, /lost the connection .*: no sign of life for 10000 ms/);
    assert.deepEqual(await freight.sum(ctx, { a: 1, b: 2 }), { v: 3 });
    assert.equal(proxy.counts.accepted, 2);
  });

  test("but not when the server is only slow, nor when it owes nothing", async (t) => {
    const clock = new VirtualClock();
    const { freight, proxy, running } = await open(t, {}, { http2: true, keepAliveMs: 1000 }, clock);
    const scope = withCancel(ctx);
    const call = failureOf(freight.hang(scope, {}));
    await until("the call has begun", () => running.has("hang"));
    for (let i = 0; i < 20; i++) {
      const { toClient } = proxy.counts;
      await clock.advance(1000);
      await until("it has answered", () => proxy.counts.toClient > toClient);
    }
    scope.cancel();
    assert.equal((await call).code, "canceled");
    await until("the server knows", () => running.size === 0);
    // Without calls nobody asks, and nobody is missed.
    vanish(proxy);
    for (let i = 0; i < 10; i++) await clock.advance(1000);
    await proxy.heal();
    assert.deepEqual(await freight.sum(ctx, { a: 1, b: 2 }), { v: 3 });
    assert.equal(proxy.counts.accepted, 1);
  });
});

describe("an HTTP/2 connection on which nothing moves", () => {
  test("is closed by its client after its idle time, also after a call that took longer than that", async (t) => {
    const { proxy, freight } = await open(t, {}, { http2: true, idleTimeoutMs: 100 });
    const error = await failureOf(freight.hang(withTimeout(ctx, 300), {}));
    assert.equal(error.code, "deadline_exceeded");
    await until("closed", () => proxy.counts.open === 0, SOON_MS);
  });

  test("is closed by the server after its idle time", async (t) => {
    const { listening, proxy, freight } = await open(t, { idleTimeoutMs: 200 }, { http2: true });
    await until("closed", () => listening.connections === 0 && proxy.counts.open === 0, SOON_MS);
    assert.deepEqual(await freight.sum(ctx, { a: 1, b: 2 }), { v: 3 });
  });

  test("stays for as long as a stream is open, and the client answers", async (t) => {
    const { listening, freight } = await open(t, { idleTimeoutMs: 100 }, { http2: true });
    const go = Promise.withResolvers<void>();
    const said = freight.chat(
      ctx,
      (async function* () {
        yield { text: "first" };
        await go.promise;
        yield { text: "last" };
      })(),
    );
    const answers: string[] = [];
    for await (const { text } of said) {
      answers.push(text);
      await sleep(ctx, 500);
      go.resolve();
    }
    assert.deepEqual(answers, ["FIRST", "LAST"]);
    await until("closed", () => listening.connections === 0, SOON_MS);
  });

  test("is cut with its streams when the client is gone", async (t) => {
    const { listening, freight, proxy, running } = await open(t, { idleTimeoutMs: 200 }, { http2: true });
    const call = failureOf(freight.hang(ctx, {}));
    await until("the call has begun", () => running.has("hang"));
    vanish(proxy);
    await until("cut", () => listening.connections === 0 && running.size === 0, SOON_MS);
    await proxy.heal();
    assert.equal((await call).code, "unavailable");
  });
});
