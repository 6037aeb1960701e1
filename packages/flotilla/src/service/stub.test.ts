import assert from "node:assert/strict";
import { test } from "node:test";
import { background } from "../context/with.ts";
import type { MethodInfo } from "../endpoint/method-info.ts";
import { Notes, notes, readAll, streamOf } from "../testing/transport-bed.ts";
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
