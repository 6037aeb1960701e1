import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, test } from "node:test";
import { VirtualClock } from "../../clock/virtual-clock.ts";
import { sleep } from "../../context/sleep.ts";
import { afterFunc, background, remainingMs, withCancel, withTimeout } from "../../context/with.ts";
import type { Implementation } from "../../contract/contract.ts";
import type { Listening } from "../../endpoint/transport.ts";
import { serverCall } from "../../metadata/call.ts";
import { implement } from "../../service/implement.ts";
import { stub } from "../../service/stub.ts";
import { failureOf, Notes, notes, readAll, streamOf } from "../../testing/transport-bed.ts";
import { transportContract } from "../../testing/transport-contract.ts";
import type { WireOptions } from "../../wire/options.ts";
import { memory } from "./memory.ts";

const nothing = { n: 0, text: "" };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const idle: Implementation<typeof Notes> = {
  one: (_ctx, request) => request,
  many: () => streamOf([]),
  collect: async () => nothing,
  chat: () => streamOf([]),
};

async function bed(methods: Partial<Implementation<typeof Notes>> = {}, options: WireOptions = {}) {
  const clock = new VirtualClock();
  const net = memory(options);
  const root = withCancel(background(clock));
  const serve = (): Promise<Listening> =>
    net.listener("notes").listen([implement(Notes, { ...idle, ...methods })], root);
  const listening = await serve();
  const connection = net.connect("memory://notes");
  const client = stub(Notes, (method) => connection.endpoint(method));
  return { clock, net, root, serve, listening, connection, client, ctx: background(clock) };
}

const net = memory({ format: "json" });
const under = { listener: () => net.listener("contract"), connector: () => net, tcp: false };
for (const { name, run } of transportContract(under)) {
  test(`contract: ${name}`, { timeout: 20_000 }, run);
}

describe("time is virtual", () => {
  test("deadlines pass and handlers sleep on the clock alone", async () => {
    const { client, ctx, clock } = await bed({
      async one(inner) {
        await sleep(inner, 60_000);
        return { n: remainingMs(inner), text: "" };
      },
    });
    const tooLong = failureOf(client.one(withTimeout(ctx, 90_000), nothing));
    const late = failureOf(client.one(withTimeout(ctx, 1000), nothing));
    await clock.advance(1004);
    assert.equal((await late).code, "deadline_exceeded");
    await clock.advance(60_000);
    // The server's own limit for unary calls is 30 s.
    assert.equal((await tooLong).code, "deadline_exceeded");
  });

  test("the server's limit, the method's and the caller's: the earliest counts", async () => {
    const { client, ctx } = await bed({ one: (inner) => ({ n: remainingMs(inner), text: "" }) }, { timeoutMs: 700 });
    assert.equal((await client.one(ctx, nothing)).n, 700);
    assert.equal((await client.one(withTimeout(ctx, 99.9), nothing)).n, 99, "whole milliseconds, as over HTTP");
  });
});

describe("addresses", () => {
  test("a name is one listener's at a time, and free again when it drains", async () => {
    const { serve, listening, client, ctx } = await bed();
    await assert.rejects(serve(), /memory: cannot listen on memory:\/\/notes: the name is in use/);
    await listening.drain();
    const error = await failureOf(client.one(ctx, nothing));
    assert.equal(error.message, "nothing listens at memory://notes");
    assert.equal(error.retry?.unprocessed, true);
    await serve();
    assert.deepEqual(await client.one(ctx, nothing), nothing, "the connection finds the new one");
  });

  test("networks know nothing of each other", async () => {
    const { ctx } = await bed();
    const other = stub(Notes, (method) => memory().connect("memory://notes").endpoint(method));
    assert.equal((await failureOf(other.one(ctx, nothing))).code, "unavailable");
  });

  test("names and addresses that are not legal are refused", () => {
    assert.throws(() => memory().listener("a/b"), /memory: "a\/b" is not a name/);
    assert.throws(() => memory().connect("http://notes"), /must look like memory:\/\/name/);
    assert.throws(() => memory().connect("memory://"), /must look like memory:\/\/name/);
  });
});

describe("limits", () => {
  test("messages over the limit are refused, either way, in bytes", async () => {
    const { client, ctx } = await bed(
      { one: (_ctx, { n, text }) => ({ n, text: text.repeat(n) }) },
      { maxMessageBytes: 100 },
    );
    assert.equal((await client.one(ctx, { n: 1, text: "x".repeat(80) })).text.length, 80);
    for (const request of [
      { n: 1, text: "x".repeat(90) },
      { n: 1, text: "ü".repeat(45) },
      { n: 3, text: "x".repeat(40) },
    ]) {
      const error = await failureOf(client.one(ctx, request));
      assert.equal(error.code, "resource_exhausted");
      assert.equal(error.message, "a message is over the limit of 100 bytes");
    }
  });

  test("calls beyond the limit are refused as unavailable", async () => {
    let release!: () => void;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const { client, ctx, listening } = await bed(
      {
        async one(_ctx, request) {
          await gate;
          return request;
        },
      },
      { maxConcurrentCalls: 2 },
    );
    const answers = [client.one(ctx, nothing), client.one(ctx, nothing)];
    await turn();
    assert.equal(listening.inFlight, 2);
    const error = await failureOf(client.one(ctx, nothing));
    assert.equal(error.code, "unavailable");
    assert.equal(error.message, "the server is at its limit of 2 concurrent calls");
    release();
    await Promise.all(answers);
    assert.deepEqual(await client.one(ctx, nothing), nothing);
  });

  test("so many messages of a stream wait for their reader, and no more", async () => {
    let produced = 0;
    const { client, ctx } = await bed(
      {
        async *many() {
          for (const note of notes(100)) {
            produced = note.n;
            yield note;
          }
        },
      },
      { maxWaitingMessages: 4 },
    );
    const stream = client.many(ctx, nothing)[Symbol.asyncIterator]();
    await stream.next();
    for (let i = 0; i < 50; i++) await turn();
    // One was read, four wait, the handler holds no other in hand until there is room.
    assert.equal(produced, 5);
    await stream.next();
    for (let i = 0; i < 50; i++) await turn();
    assert.equal(produced, 6);
    await stream.return?.();
  });

  test("options that are not legal are refused, by name", () => {
    assert.throws(() => memory({ maxMessageBytes: 0 }), /memory: maxMessageBytes/);
    assert.throws(() => memory({ maxWaitingMessages: Number.NaN }), /memory: maxWaitingMessages/);
  });
});

describe("nothing is shared", () => {
  test("what the caller keeps in an AsyncLocalStorage stays with the caller", async () => {
    const storage = new AsyncLocalStorage<string>();
    const { client, ctx } = await bed({
      one: () => ({ n: 0, text: String(storage.getStore()) }),
      async *many() {
        yield { n: 0, text: String(storage.getStore()) };
      },
    });
    await storage.run("the caller's", async () => {
      assert.equal((await client.one(ctx, nothing)).text, "undefined");
      assert.deepEqual(await readAll(client.many(ctx, nothing)), [{ n: 0, text: "undefined" }]);
      assert.equal(storage.getStore(), "the caller's");
    });
  });

  test("headers are copies", async () => {
    const seen: unknown[] = [];
    const { client, ctx } = await bed({
      one(inner, request) {
        const call = serverCall(inner)!;
        seen.push([...call.headers.entries()]);
        call.headers.set("x-changed", "here");
        return request;
      },
    });
    const { withHeaders } = await import("../../metadata/call.ts");
    const scoped = withHeaders(ctx, { "x-a": "1" });
    await client.one(scoped, nothing);
    await client.one(scoped, nothing);
    assert.deepEqual(seen[0], seen[1]);
    assert.deepEqual(seen[0], [
      ["x-a", "1"],
      ["content-type", "application/json"],
    ]);
  });
});

describe("the event loop goes on", () => {
  test("under an endless stream", async () => {
    const { client, ctx } = await bed({
      async *many() {
        for (let n = 0; ; n++) yield { n, text: "" };
      },
    });
    let stop = false;
    setImmediate(() => setImmediate(() => (stop = true)));
    for await (const _ of client.many(ctx, nothing)) if (stop) break;
  });

  test("under an endless loop of calls", async () => {
    const { client, ctx } = await bed();
    let stop = false;
    setImmediate(() => setImmediate(() => (stop = true)));
    while (!stop) await client.one(ctx, nothing);
  });
});

describe("reading", () => {
  test("return works while a read is pending, and ends the handler", async () => {
    let ended = false;
    const { connection, ctx, listening } = await bed({
      async *many(inner) {
        yield nothing;
        await new Promise<void>((resolve) => void afterFunc(inner, resolve));
        ended = true;
      },
    });
    const many = connection.endpoint(Notes.methods[1]!);
    const stream = ((await many(ctx, nothing)) as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    await stream.next();
    const pending = stream.next();
    assert.deepEqual(await stream.return?.(), { done: true, value: undefined });
    assert.deepEqual(await pending, { done: true, value: undefined });
    await turn();
    assert.equal(ended, true);
    assert.equal(listening.inFlight, 0);
  });

  test("several reads may wait at once; after the end there is nothing more", async () => {
    const { connection, ctx } = await bed({ many: () => streamOf(notes(2)) });
    const many = connection.endpoint(Notes.methods[1]!);
    const stream = ((await many(ctx, nothing)) as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    const results = await Promise.all([stream.next(), stream.next(), stream.next()]);
    assert.deepEqual(
      results.map(({ done, value }) => (done ? "end" : (value as { n: number }).n)),
      [1, 2, "end"],
    );
    assert.equal((await stream.next()).done, true);
  });
});
