import assert from "node:assert/strict";
import { test } from "node:test";
import type { Context } from "../context/context.ts";
import { afterFunc, background, withCancel } from "../context/with.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import { Handover, Notes, notes, readAll, streamOf } from "../testing/transport-bed.ts";
import { stub } from "./stub.ts";

const ctx = background();
const nothing = { n: 0, text: "" };

test("one function a method, over the endpoint of that method", async () => {
  const asked: string[] = [];
  const client = stub(Notes, (method: MethodInfo) => {
    asked.push(method.procedure);
    return async (_ctx, request) => (method.kind === "unary" ? request : streamOf(notes(2)));
  });
  assert.deepEqual(
    asked,
    ["one", "many", "collect", "chat"].map((name) => `flotilla.testing.v1.Notes/${name}`),
  );
  assert.deepEqual(await client.one(ctx, { n: 7, text: "x" }), { n: 7, text: "x" });
  assert.deepEqual(await readAll(client.many(ctx, nothing)), notes(2));
  assert.deepEqual(await readAll(client.chat(ctx, streamOf([]))), notes(2));
});

test("a stream that nobody reads makes no call; each reading of one ends its call", async () => {
  let calls = 0;
  let closed = 0;
  const client = stub(Notes, () => async () => {
    calls++;
    return (async function* () {
      try {
        yield* notes(3);
      } finally {
        closed++;
      }
    })();
  });
  client.many(ctx, nothing);
  const unread = client.many(ctx, nothing)[Symbol.asyncIterator]();
  await unread.return?.();
  assert.equal(calls, 0);
  for await (const { n } of client.many(ctx, nothing)) if (n === 2) break;
  assert.deepEqual([calls, closed], [1, 1]);
});

test("messages are read in the order they were asked for, and an end stays one", async () => {
  const client = stub(Notes, () => async () => streamOf(notes(2)));
  const iterator = client.many(ctx, nothing)[Symbol.asyncIterator]();
  const results = await Promise.all(Array.from({ length: 4 }, () => iterator.next()));
  assert.deepEqual(
    results.map(({ done, value }) => done || (value as { n: number }).n),
    [1, 2, true, true],
  );
  assert.equal((await iterator.return!()).done, true);
});

test("leaving a stream while its next message is waited for ends call and wait at once, whatever stands between", async () => {
  let call: Context | undefined;
  let closed = false;
  // As of a middleware: a generator hears of nothing while it waits.
  const between = async function* (inner: AsyncIterable<unknown>): AsyncGenerator {
    try {
      yield* inner;
    } finally {
      closed = true;
    }
  };
  const silent = async function* (of: Context): AsyncGenerator {
    yield nothing;
    await new Promise<void>((resolve) => void afterFunc(of, resolve));
    throw of.err!;
  };
  const client = stub(Notes, () => async (given) => between(silent((call = given))));
  const caller = withCancel(ctx);
  const iterator = client.many(caller, nothing)[Symbol.asyncIterator]();
  await iterator.next();
  const waiting = [iterator.next(), iterator.next()];
  assert.deepEqual(await iterator.return!(), { done: true, value: undefined });
  for (const one of waiting) assert.deepEqual(await one, { done: true, value: undefined });
  assert.deepEqual([call!.err?.code, caller.err], ["canceled", undefined]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.ok(closed);
});

test("leaving a stream that is not answered yet ends its call; an answer that comes all the same is closed", async () => {
  const answered = new Handover<void>();
  let call: Context | undefined;
  let closed = 0;
  const late: AsyncIterable<unknown> = {
    [Symbol.asyncIterator]: () => ({
      next: () => assert.fail("read"),
      async return() {
        closed++;
        return { done: true, value: undefined };
      },
    }),
  };
  const client = stub(Notes, () => async (given) => {
    call = given;
    await answered.value;
    return late;
  });
  const iterator = client.many(ctx, nothing)[Symbol.asyncIterator]();
  const waiting = iterator.next();
  assert.equal((await iterator.return!()).done, true);
  assert.equal((await waiting).done, true);
  assert.equal(call!.err?.code, "canceled");
  answered.set();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(closed, 1);
});

test("a stream that is left between two messages is closed without cancelling, and tells what its closing fails with", async () => {
  const broken = new Error("cannot be closed");
  let call: Context | undefined;
  const client = stub(Notes, () => async (given) => {
    call = given;
    return Object.assign(streamOf(notes(3)), { return: () => Promise.reject(broken) });
  });
  const iterator = client.many(ctx, nothing)[Symbol.asyncIterator]();
  await iterator.next();
  await assert.rejects(iterator.return!() as Promise<unknown>, (error) => error === broken);
  assert.equal(call!.err, undefined);
});

test("a call that fails before its stream begins fails the first reading", async () => {
  const broken = new Error("no way");
  const client = stub(Notes, () => () => Promise.reject(broken));
  await assert.rejects(readAll(client.many(ctx, nothing)), (error) => error === broken);
});

test("it is frozen, is no promise, and disposing of it closes what it was given", async () => {
  let closed = 0;
  const client = stub(
    Notes,
    () => async () => nothing,
    async () => {
      closed++;
    },
  );
  assert.ok(Object.isFrozen(client));
  assert.equal((client as unknown as { then?: unknown }).then, undefined);
  await client[Symbol.asyncDispose]();
  assert.equal(closed, 1);
  await stub(Notes, () => async () => nothing)[Symbol.asyncDispose]();
});
