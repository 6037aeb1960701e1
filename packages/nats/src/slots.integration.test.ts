import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "flotilla/clock";
import { background, type Context, sleep, withTimeout, withValue } from "flotilla/context";
import { contract, unary } from "flotilla/contract";
import { type Connection, errorReporterKey } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { implement } from "flotilla/service";
import { faultProxy, until } from "flotilla/testing";
import { skipWithout } from "../../../scripts/servers.ts";
import { natsClient } from "./client.ts";
import { jetstreamClient } from "./jetstream/client.ts";
import { jetstream } from "./jetstream/server.ts";
import { nats } from "./server.ts";
import { anything } from "./test-fixtures/bed.ts";
import { Jobs } from "./test-fixtures/jobs.ts";
import { TestNats } from "./test-fixtures/nats-server.ts";

const skip = await skipWithout("nats-server");
const ROUNDS = 40;
const LANES = 25;
const CALLS = 20;
const IN_HAND = 5;

const Echo = contract("test.v1.Echo", {
  say: unary({ input: anything<{ n: number }>(), output: anything<{ n: number }>(), idempotent: true }),
});

test("after 1,000 messages and 1,000 calls, cut off by the score, each slot is free again, and no more than there are", {
  skip,
  timeout: 120_000,
}, async (t) => {
  const broker = await TestNats.start();
  t.after(() => broker.stop());
  const proxy = await faultProxy({ to: `127.0.0.1:${broker.port}` });
  t.after(() => proxy.close());
  const address = `nats://127.0.0.1:${proxy.port}`;
  const root = withValue(background(), errorReporterKey, () => {});
  let gate = Promise.resolve();
  let handled = 0;
  const run = async (): Promise<object> => {
    await gate;
    handled++;
    return {};
  };
  // One that is cut in the middle of its hello is waited for.
  const quick = { maxReconnectMs: 10, connectTimeoutMs: 500 };
  const serving = await nats({ servers: address, ...quick }).listen(
    [implement(Echo, { say: (_ctx, { n }) => ({ n }) })],
    root,
  );
  t.after(() => serving.close());
  const settings = { servers: address, ...quick, stream: "jobs", maxConcurrentCalls: IN_HAND, ackWaitMs: 1000 };
  const handling = await jetstream(settings).listen([implement(Jobs, { run })], root);
  t.after(() => handling.close());
  const limits = { ...quick, maxConcurrentCalls: CALLS };
  const [calling, publishing] = [natsClient(limits), jetstreamClient(limits)].map((made) => made.connect(address)) as [
    Connection,
    Connection,
  ];
  t.after(() => Promise.all([calling.close(), publishing.close()]));
  const say = calling.endpoint(Echo.methods[0]!);
  const publish = publishing.endpoint(Jobs.methods[0]!);
  const random = seededRandom(7);
  const outcomes = new Map<string, number>();
  const noted = (what: string, work: Promise<unknown>): Promise<void> =>
    work
      .then(
        () => "ok",
        (error: unknown) => ServiceError.from(error).code,
      )
      .then((outcome) => void outcomes.set(`${what} ${outcome}`, (outcomes.get(`${what} ${outcome}`) ?? 0) + 1));
  const some = (): Context => withTimeout(root, 1 + random.next() * 100);
  const open = (): number => calling.poolState!().open + serving.connections! + handling.connections!;
  const connected = (): boolean => open() === 3;
  const patient = withTimeout(root, 60_000);
  await Promise.all([say(patient, { n: 0 }), publish(patient, { n: 0 })]);
  for (let round = 0; round < ROUNDS; round++) {
    await until("all is connected", connected);
    const work = Array.from({ length: LANES }, (_, n) => [
      noted("message", publish(some(), { n })),
      noted("call", say(some(), { n })),
    ]).flat();
    await sleep(root, random.next() * 5);
    await proxy.inject({ reset: true, connections: "open" }).heal();
    await Promise.all(work);
  }
  for (const outcome of ["message ok", "message unavailable", "call ok", "call unavailable"]) {
    assert.ok((outcomes.get(outcome) ?? 0) >= 10, `${outcome}: ${JSON.stringify([...outcomes])}`);
  }
  // The last cut may not have been heard of yet.
  for (const call of [say, publish]) {
    while (
      !(await call(patient, { n: 0 }).then(
        () => true,
        () => false,
      ))
    )
      await sleep(root, 5);
  }
  await until("all is connected", connected);
  await until("nothing is in hand", () => handling.inFlight === 0 && serving.inFlight === 0);
  const opened = Promise.withResolvers<void>();
  gate = opened.promise;
  for (let n = 0; n < 4 * IN_HAND; n++) await publish(patient, { n });
  await until("as many as may are in hand", () => handling.inFlight === IN_HAND);
  await say(patient, { n: 0 });
  const hole = proxy.inject({ blackhole: true });
  outcomes.clear();
  const pending = Array.from({ length: CALLS }, (_, n) => [
    noted("message", publish(patient, { n })),
    noted("call", say(patient, { n })),
  ]).flat();
  await noted("further message", publish(patient, { n: 0 }));
  await noted("further call", say(patient, { n: 0 }));
  assert.deepEqual(
    [...outcomes],
    [
      ["further message unavailable", 1],
      ["further call unavailable", 1],
    ],
  );
  assert.equal(handling.inFlight, IN_HAND);
  await hole.heal();
  await Promise.all(pending);
  assert.equal(outcomes.get("message ok"), CALLS);
  assert.equal(outcomes.get("call ok"), CALLS);
  handled = 0;
  opened.resolve();
  await until("the rest is handled", () => handled >= 4 * IN_HAND + CALLS);
});
