import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "flotilla/clock";
import { openDatabase } from "../kernel/database.ts";
import { createOutbox, type Message, outboxSchema } from "../kernel/outbox.ts";
import { createRelay } from "./relay.ts";

function setUp(fail: (message: Message) => boolean) {
  const clock = new VirtualClock();
  const db = openDatabase(":memory:", [outboxSchema]);
  const outbox = createOutbox(db);
  const told: string[] = [];
  const deliver = async (_ctx: unknown, message: Message) => {
    if (fail(message)) throw new Error("nobody there");
    told.push(message.body);
  };
  return {
    clock,
    outbox,
    told,
    relay: () => createRelay({ outbox, deliver, clock, everyMs: 1000 }),
    close: () => db.close(),
  };
}

test("what is appended is told at once, and forgotten", async () => {
  const { outbox, told, relay, close } = setUp(() => false);
  const running = relay();
  await running.attempt(outbox.append("t", 1));
  assert.deepEqual(told, ["1"]);
  assert.equal(running.pending, 0);
  await running.close();
  close();
});

test("what could not be told is told later, and what an earlier process left over first", async () => {
  let down = true;
  const { clock, outbox, told, relay, close } = setUp(() => down);
  outbox.append("t", "left over");
  const running = relay();
  await running.attempt(outbox.append("t", "new"));
  assert.equal(running.failures, 2);
  assert.equal(running.pending, 2);
  down = false;
  await clock.advance(1000);
  assert.deepEqual(told, ['"left over"', '"new"']);
  assert.equal(running.pending, 0);
  await running.close();
  close();
});

test("a closed relay delivers nothing more and keeps the messages", async () => {
  const { clock, outbox, told, relay, close } = setUp(() => false);
  const running = relay();
  await running.close();
  await running.attempt(outbox.append("t", 1));
  await clock.advance(10_000);
  assert.deepEqual(told, []);
  assert.equal(outbox.count(), 1);
  close();
});
