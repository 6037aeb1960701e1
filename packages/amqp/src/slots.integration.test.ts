import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { seededRandom } from "flotilla/clock";
import { background, sleep, withTimeout, withValue } from "flotilla/context";
import { errorReporterKey } from "flotilla/endpoint";
import { ServiceError } from "flotilla/errors";
import { implement } from "flotilla/service";
import { faultProxy, until } from "flotilla/testing";
import { startRabbit, type TestRabbit } from "../../../scripts/rabbitmq.ts";
import { skipWithout } from "../../../scripts/servers.ts";
import { amqpClient } from "./client.ts";
import { consumer } from "./consumer.ts";
import { amqp } from "./listener.ts";
import { publisher } from "./publisher.ts";
import { type Cargo, CargoEvents, Tracking } from "./test-fixtures/cargo.ts";

const skip = await skipWithout("rabbitmq-server");
const ROUNDS = 40;
const LANES = 25;
const CALLS = 20;
const UNCONFIRMED = 10;
const WAITING = 15;
const IN_HAND = 5;

let rabbit: TestRabbit;
before(async () => {
  if (skip === false) rabbit = await startRabbit();
});
after(() => rabbit?.stop());

test("after 1,000 messages and 1,000 calls, cut off by the score, each slot is free again, and no more than there are", {
  skip,
  timeout: 120_000,
}, async (t) => {
  const proxy = await faultProxy({ to: `127.0.0.1:${rabbit.port}` });
  t.after(() => proxy.close());
  const broker = { url: `amqp://127.0.0.1:${proxy.port}`, maxReconnectMs: 10 };
  const root = withValue(background(), errorReporterKey, () => {});
  let gate = Promise.resolve();
  let handled = 0;
  const booked = async (_ctx: unknown, cargo: Cargo): Promise<Cargo> => {
    await gate;
    handled++;
    return cargo;
  };
  const events = implement(CargoEvents, { booked, lost: booked });
  const tracking = implement(Tracking, { find: (_ctx, cargo) => cargo, book: (_ctx, cargo) => cargo });
  const serving = await amqp(broker).listen([tracking], root);
  t.after(() => serving.close());
  const consuming = await consumer({ ...broker, group: "slots", serve: [events], maxConcurrentCalls: IN_HAND }).listen(
    [],
    root,
  );
  t.after(() => consuming.close());
  const publishing = publisher(CargoEvents, { ...broker, maxUnconfirmed: UNCONFIRMED, maxWaiting: WAITING });
  t.after(() => publishing[Symbol.asyncDispose]());
  const connection = amqpClient({ ...broker, maxConcurrentCalls: CALLS }).connect(broker.url);
  t.after(() => connection.close());
  const find = connection.endpoint(Tracking.methods[0]!);
  const random = seededRandom(7);
  const outcomes = new Map<string, number>();
  const noted = (what: string, work: Promise<unknown>): Promise<void> =>
    work
      .then(
        () => "ok",
        (error: unknown) => ServiceError.from(error).code,
      )
      .then((outcome) => void outcomes.set(`${what} ${outcome}`, (outcomes.get(`${what} ${outcome}`) ?? 0) + 1));
  const open = (): number => connection.poolState!().open + serving.connections! + consuming.connections!;
  for (let round = 0; round < ROUNDS; round++) {
    // Every fifth is left in peace.
    const cut = round % 5 !== 4;
    if (!cut) await until("all is connected", () => open() === 3, 20_000);
    const some = () => withTimeout(root, cut ? 1 + random.next() * 100 : 20_000);
    const work = Array.from({ length: LANES }, (_, n) => [
      noted("message", publishing.booked(some(), { n })),
      noted("call", find(some(), { n })),
    ]).flat();
    await sleep(root, random.next() * 5);
    if (cut) await proxy.inject({ reset: true, connections: "open" }).heal();
    await Promise.all(work);
  }
  for (const outcome of ["message ok", "message deadline_exceeded", "call ok", "call unavailable"]) {
    assert.ok((outcomes.get(outcome) ?? 0) >= 10, `${outcome}: ${JSON.stringify([...outcomes])}`);
  }
  await until("all is connected", () => open() === 3, 20_000);
  for (let n = 0; n < 2 * UNCONFIRMED; n++) await publishing.booked(withTimeout(root, 10_000), { n });
  // The last cut may not have been heard of yet.
  while (
    !(await find(withTimeout(root, 10_000), { n: 0 }).then(
      () => true,
      () => false,
    ))
  )
    await sleep(root, 5);
  await until("nothing is in hand", () => serving.inFlight === 0);

  const opened = Promise.withResolvers<void>();
  gate = opened.promise;
  for (let n = 0; n < 4 * IN_HAND; n++) await publishing.booked(withTimeout(root, 10_000), { n });
  await until("as many as may are in hand", () => consuming.inFlight === IN_HAND);
  const hole = proxy.inject({ blackhole: true });
  outcomes.clear();
  const patient = withTimeout(root, 30_000);
  const pending = [
    ...Array.from({ length: UNCONFIRMED + WAITING }, (_, n) => noted("message", publishing.booked(patient, { n }))),
    ...Array.from({ length: CALLS }, (_, n) => noted("call", find(patient, { n }))),
  ];
  await noted("further message", publishing.booked(patient, { n: 0 }));
  await noted("further call", find(patient, { n: 0 }));
  assert.deepEqual(
    [...outcomes],
    [
      ["further message resource_exhausted", 1],
      ["further call unavailable", 1],
    ],
  );
  assert.equal(consuming.inFlight, IN_HAND);
  await hole.heal();
  await Promise.all(pending);
  assert.equal(outcomes.get("message ok"), UNCONFIRMED + WAITING);
  assert.equal(outcomes.get("call ok"), CALLS);
  handled = 0;
  opened.resolve();
  await until("the rest is handled", () => handled >= 4 * IN_HAND + UNCONFIRMED + WAITING);
});
