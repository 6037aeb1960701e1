import assert from "node:assert/strict";
import { test } from "node:test";
import { Outgoing } from "./outgoing.ts";

const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An iterator of which the test says what it does. */
function source(next: () => Promise<IteratorResult<number>>) {
  const told = { returned: 0 };
  const messages: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({
      next,
      return() {
        told.returned++;
        throw new Error("cannot be closed");
      },
    }),
  };
  return { told, requests: new Outgoing(messages) };
}

async function readAll(requests: Outgoing<number>): Promise<number[]> {
  const read: number[] = [];
  for await (const one of requests) read.push(one);
  return read;
}

test("what is read to its end, or fails, is not closed", async () => {
  let left = 2;
  const { told, requests } = source(async () => ({ done: left === 0, value: left-- }));
  assert.deepEqual(await readAll(requests), [2, 1]);
  requests.leave();
  assert.deepEqual([told.returned, requests.left], [0, false]);

  const broken = new Error("mine");
  const failing = source(() => Promise.reject(broken));
  await assert.rejects(readAll(failing.requests), (error) => error === broken);
  failing.requests.leave();
  assert.equal(failing.told.returned, 0);
  assert.equal((await failing.requests.next()).done, true);
});

test("leaving closes once, at once, though a message is waited for; nobody hears what comes of either", async () => {
  for (const settle of ["resolve", "reject"] as const) {
    const waiting = Promise.withResolvers<IteratorResult<number>>();
    const { told, requests } = source(() => waiting.promise);
    const reading = readAll(requests);
    await soon();
    requests.leave();
    requests.leave();
    assert.deepEqual([told.returned, requests.left], [1, true]);
    if (settle === "resolve") waiting.resolve({ done: false, value: 1 });
    else waiting.reject(new Error("too late"));
    assert.deepEqual(await reading, []);
    assert.equal(told.returned, 1);
  }
});

test("a generator hears of it where it yields next", async () => {
  const waiting = Promise.withResolvers<void>();
  let closed = false;
  const requests = new Outgoing(
    (async function* () {
      try {
        await waiting.promise;
        yield 1;
      } finally {
        closed = true;
      }
    })(),
  );
  const reading = readAll(requests);
  await soon();
  requests.leave();
  await soon();
  assert.equal(closed, false);
  waiting.resolve();
  assert.deepEqual(await reading, []);
  await soon();
  assert.ok(closed);
});

test("an iterator that answers at once, as `for await` takes it, will do", async () => {
  let left = 2;
  const next = (): never => ({ done: left === 0, value: left-- }) as never;
  assert.deepEqual(await readAll(source(next).requests), [2, 1]);
});

test("what was never read is left alone", () => {
  const requests = new Outgoing({ [Symbol.asyncIterator]: () => assert.fail("read") });
  requests.leave();
});
