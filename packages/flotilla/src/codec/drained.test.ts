import assert from "node:assert/strict";
import { once } from "node:events";
import { Writable } from "node:stream";
import { test } from "node:test";
import { drained } from "./drained.ts";

const full = (): Writable => new Writable({ highWaterMark: 1, write: () => {} });

test("nobody waits for a stream that is closed, be it before or meanwhile", async () => {
  const meanwhile = full();
  assert.equal(meanwhile.write("more than fits"), false);
  const waiting = drained(meanwhile);
  meanwhile.destroy();
  await waiting;
  const before = full();
  before.destroy();
  await once(before, "close");
  assert.equal(before.write("to nobody"), false);
  await drained(before);
});

test("what is full drains", async () => {
  let go = (): void => {};
  const stream = new Writable({ highWaterMark: 1, write: (_chunk, _encoding, done) => void (go = done) });
  stream.write("more than fits");
  let open = false;
  const waiting = drained(stream).then(() => {
    open = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(open, false);
  go();
  await waiting;
  assert.equal(stream.listenerCount("drain") + stream.listenerCount("close"), 0);
});
