// Whatever way a call ends, the stream of HTTP/2 that carried it is gone at both ends: one that stays holds memory, and keeps its connection open.
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Http2Stream } from "node:http2";
import { after, before, describe, type TestContext, test } from "node:test";
import { z } from "zod";
import { sleep } from "../context/sleep.ts";
import { background, withCancel, withTimeout } from "../context/with.ts";
import { contract } from "../contract/contract.ts";
import { bidiStream, clientStream, serverStream, unary } from "../contract/method.ts";
import type { Connector, Listener } from "../endpoint/transport.ts";
import { implement } from "../service/implement.ts";
import { stub } from "../service/stub.ts";
import { grpcClient } from "../transport/grpc/client.ts";
import { grpc } from "../transport/grpc/server.ts";
import { httpClient } from "../transport/http/client.ts";
import { http } from "../transport/http/server.ts";
import { until } from "./discovery-recorder.ts";

const text = z.object({ text: z.string() });
const Talk = contract("test.v1.Talk", {
  wait: unary({ input: z.object({ ms: z.number() }), output: text }),
  tell: serverStream({ input: z.object({ times: z.number() }), output: text }),
  shout: serverStream({ input: text, output: text }),
  say: unary({ input: text, output: text }),
  hear: clientStream({ input: text, output: text }),
  chat: bidiStream({ input: text, output: text }),
});
const LONG = { text: "x".repeat(10_000) };
const ctx = background();

const seen = new Set<Http2Stream>();
const created = (message: unknown): void => void seen.add((message as { stream: Http2Stream }).stream);
const CHANNELS = ["http2.client.stream.created", "http2.server.stream.created"];
before(() => {
  for (const name of CHANNELS) subscribe(name, created);
});
after(() => {
  for (const name of CHANNELS) unsubscribe(name, created);
});

async function open(t: TestContext, listener: Listener, connector: Connector) {
  const service = implement(Talk, {
    async wait(ctx, { ms }) {
      await sleep(ctx, ms);
      return LONG;
    },
    async *tell(_ctx, { times }) {
      for (let i = 0; i < times; i++) yield LONG;
    },
    async *shout() {
      for (;;) yield { text: "x".repeat(200_000) };
    },
    say: async () => LONG,
    // Both answer what they have not heard to its end.
    hear: async () => LONG,
    async *chat(_ctx, requests) {
      for await (const request of requests) {
        for (let i = 0; i < 20; i++) yield request;
        return;
      }
    },
  });
  const listening = await listener.listen([service], ctx);
  t.after(() => listening.close());
  const connection = connector.connect(listening.address);
  t.after(() => connection.close());
  seen.clear();
  return stub(Talk, (method) => connection.endpoint(method));
}

async function* endless() {
  for (;;) {
    yield LONG;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Waits until no stream is left of those that there were. */
async function nothingLeft(): Promise<void> {
  assert.ok(seen.size > 0, "no stream was seen");
  const left = (): Http2Stream[] => [...seen].filter(({ destroyed }) => !destroyed);
  await until("no stream is left", () => left().length === 0, 5000).catch((error: unknown) => {
    throw new Error(`${left().length} of ${seen.size} streams are left`, { cause: error });
  });
}

const transports = {
  http: [() => http({ port: 0 }), () => httpClient({ http2: true })],
  grpc: [() => grpc({ port: 0 }), () => grpcClient()],
} as const;

for (const [name, [listener, connector]] of Object.entries(transports)) {
  describe(`no stream is left at either end of ${name}`, () => {
    test("when the answer and the end of the caller's time meet", async (t) => {
      const talk = await open(t, listener(), connector());
      for (let round = 0; round < 30; round++) {
        const calls = Array.from({ length: 20 }, async (_, i) => {
          const scope = withCancel(ctx);
          const call = talk.wait(scope, { ms: 5 });
          await sleep(ctx, 4 + i / 10);
          scope.cancel();
          await call.catch(() => {});
        });
        await Promise.all(calls);
      }
      await nothingLeft();
    });

    test("nor what it had still to send: a connection goes on taking calls", async (t) => {
      const talk = await open(t, listener(), connector());
      for (let i = 0; i < 250; i++) {
        for await (const _ of talk.shout(ctx, LONG)) {
          await sleep(ctx, 2);
          break;
        }
      }
      for (let i = 0; i < 4; i++) {
        // Over the limit: answered before it was sent.
        await assert.rejects(talk.say(ctx, { text: "x".repeat(5_000_000) }), /over the limit of/);
        assert.deepEqual(await talk.say(ctx, LONG), LONG);
      }
      await nothingLeft();
    });

    test("when the time is up before there is a connection", async (t) => {
      const talk = await open(t, listener(), connector());
      await assert.rejects(talk.wait(withTimeout(ctx, 1), { ms: 100 }));
      await talk.wait(ctx, { ms: 1 });
      await nothingLeft();
    });

    for (const times of [3, 30, 10_000]) {
      test(`when the caller leaves a stream of ${times} messages after the first`, async (t) => {
        const talk = await open(t, listener(), connector());
        for await (const _ of talk.tell(ctx, { times })) {
          // All that fits has come by then, and waits.
          await sleep(ctx, 50);
          break;
        }
        await nothingLeft();
      });

      test(`when the caller is cancelled, a stream of ${times} messages waiting`, async (t) => {
        const talk = await open(t, listener(), connector());
        const scope = withCancel(ctx);
        const messages = talk.tell(scope, { times })[Symbol.asyncIterator]();
        await messages.next();
        await sleep(ctx, 50);
        scope.cancel();
        await sleep(ctx, 10);
        await nothingLeft();
      });

      test(`when nobody asks for any of ${times} messages`, async (t) => {
        const talk = await open(t, listener(), connector());
        const scope = withCancel(ctx);
        const messages = talk.tell(scope, { times })[Symbol.asyncIterator]();
        await messages.return?.();
        await sleep(ctx, 50);
        scope.cancel();
        const begun = talk.tell(withTimeout(ctx, 100), { times })[Symbol.asyncIterator]();
        void begun.next().catch(() => {});
        await sleep(ctx, 150);
        await nothingLeft();
      });
    }

    test("when the server answers before it has heard all", async (t) => {
      const talk = await open(t, listener(), connector());
      for (let i = 0; i < 5; i++) await talk.hear(ctx, endless());
      await nothingLeft();
    });

    test("when the server ends a stream both ways", async (t) => {
      const talk = await open(t, listener(), connector());
      for (let i = 0; i < 5; i++) for await (const _ of talk.chat(ctx, endless()));
      await nothingLeft();
    });

    test("when the server ends a stream both ways, and much is on its way to it", async (t) => {
      const talk = await open(t, listener(), connector());
      let closed = 0;
      const pressing = async function* () {
        try {
          for (;;) yield LONG;
        } finally {
          closed++;
        }
      };
      const calls = Array.from({ length: 20 }, async (_, i) => {
        for await (const _ of talk.chat(ctx, pressing())) await sleep(ctx, i % 5);
      });
      await Promise.all(calls);
      await nothingLeft();
      await until("what the callers sent has ended", () => closed === 20);
    });

    test("after many short streams, none of which ends the connection of the others", async (t) => {
      const talk = await open(t, listener(), connector());
      const calls = Array.from({ length: 50 }, async () => {
        for (let i = 0; i < 40; i++) for await (const _ of talk.tell(ctx, { times: 1 }));
      });
      await Promise.all(calls);
      await nothingLeft();
    });

    test("when what the caller sends fails", async (t) => {
      const talk = await open(t, listener(), connector());
      const failing = async function* () {
        yield LONG;
        throw new Error("no more");
      };
      await assert.rejects(async () => {
        for await (const _ of talk.chat(ctx, failing())) await sleep(ctx, 10);
        throw new Error("no more");
      });
      await nothingLeft();
    });
  });
}
